"""Train a network with Keras, which restores its last epoch by itself."""

import keras
import numpy as np

from tests.integrations.said import maybe_die, say
from track.integrations.keras import TrackCallback

keras.utils.set_random_seed(0)


class Saying(keras.callbacks.Callback):
    """Says what is trained."""

    def on_epoch_end(self, epoch, logs=None):
        for name in ("loss", "val_loss"):
            say(name, epoch, logs[name])
        maybe_die(epoch)


x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse")
model.fit(
    x,
    x[:, :1],
    epochs=6,
    validation_split=0.25,
    verbose=0,
    callbacks=[
        TrackCallback("file:r.json", run_id="one"),
        keras.callbacks.BackupAndRestore("backup", delete_checkpoint=False),
        Saying(),
    ],
)
