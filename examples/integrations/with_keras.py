"""Train a small network with Keras: ``pip install keras`` and one of its backends."""

import keras
import numpy as np

from track.integrations.keras import TrackCallback

x = np.linspace(0, 1, 64).reshape(-1, 1)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
callback = TrackCallback("file:report.json", project="examples", name="keras")
model.fit(x, 2 * x, epochs=3, validation_split=0.25, verbose=0, callbacks=[callback])
