"""Keras, with PyTorch below it."""

import os

import pytest

from tests.integrations.support import only_trial, run_program
from track.structure import Status

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("torch")
keras = pytest.importorskip("keras")

import numpy as np

from track.integrations.keras import TrackCallback

pytestmark = pytest.mark.filterwarnings("ignore", "error::track.errors.TrackWarning")

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = X[:, :1] * 2


@pytest.fixture
def model():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse", metrics=["mae"])
    return model


def test_epochs_are_logged_as_they_were(model):
    """With those of the validation, and the optimizer among the parameters."""
    callback = TrackCallback("file:r.json", project="p")
    history = model.fit(
        X, Y, epochs=3, validation_split=0.25, verbose=0, callbacks=[callback]
    ).history
    trial = only_trial("file:r.json")
    assert trial.metrics == {name: dict(enumerate(values)) for name, values in history.items()}
    assert trial.status == Status.Completed
    assert trial.parameters["epochs"] == 3
    assert trial.parameters["optimizer"]["learning_rate"] == pytest.approx(0.05)


def test_batches_and_a_second_fit(model):
    """Batches are counted over epochs; another `fit` goes on with the trial."""
    callback = TrackCallback("file:r.json", every=2)
    model.fit(X, Y, epochs=2, batch_size=10, verbose=0, callbacks=[callback])
    model.fit(X, Y, epochs=3, initial_epoch=2, batch_size=10, verbose=0, callbacks=[callback])
    trial = only_trial("file:r.json")
    assert list(trial.metrics["batch/loss"]) == [0, 2, 4, 6, 8, 10]
    assert list(trial.metrics["loss"]) == [0, 1, 2]
    assert (trial.attempts, trial.status) == (2, Status.Completed)
    assert (callback.async_safe, TrackCallback("memory:").async_safe) == (False, True)


def test_an_evaluation_without_a_training(model):
    """Is a trial of its own."""
    expected = model.evaluate(X, Y, verbose=0, callbacks=[TrackCallback("file:r.json")])
    trial = only_trial("file:r.json")
    assert trial.metrics["test/loss"] == [pytest.approx(expected[0])]
    assert trial.status == Status.Completed


def test_what_ends_a_program_is_kept():
    """Keras calls no hook when a training fails: the end of the program tells."""
    run_program(
        """
        import keras, numpy as np, sys
        from track.integrations.keras import TrackCallback
        class Boom(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 1:
                    sys.exit(0) if "exit" in sys.argv else None
                    raise ValueError("boom")
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile(loss="mse")
        x = np.ones((8, 2))
        try:
            model.fit(x, x[:, :1], epochs=3, verbose=0,
                      callbacks=[TrackCallback("file:r.json"), Boom()])
        except ValueError:
            sys.excepthook(*sys.exc_info())
        """
    )
    trial = only_trial("file:r.json")
    assert list(trial.metrics["loss"]) == [0, 1]
