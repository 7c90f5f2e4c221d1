"""PyTorch Lightning: one process, two, killed and continued; as the trainer says it trained."""

import json
from importlib.util import find_spec

import pytest

from tests.integrations.support import only_trial, run_program
from track.structure import Status

pytestmark = [
    pytest.mark.skipif(find_spec("lightning") is None, reason="lightning is not installed"),
    pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed"),
]

PROGRAM = """
import json, os, sys
import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset
from lightning.pytorch.callbacks import Callback
from track.integrations.lightning import TrackLogger

mode = sys.argv[1]

class Net(L.LightningModule):
    def __init__(self, lr=0.1, act=torch.nn.ReLU(), stop_at=None):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(4, 1)
        self.said = {}
    def training_step(self, batch, index):
        loss = self.layer(batch[0]).pow(2).mean()
        self.log("loss", loss)
        self.said[self.global_step] = loss.item()
        if self.hparams.stop_at == self.global_step:
            if mode == "kill":
                os.kill(os.getpid(), 9)
            raise ValueError("boom")
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", self.layer(batch[0]).mean())
    def test_step(self, batch, index):
        self.log("test_loss", self.layer(batch[0]).mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)

if __name__ == "__main__":
    torch.manual_seed(0)
    data = DataLoader(TensorDataset(torch.arange(64.0).reshape(16, 4) / 64), batch_size=4)
    logger = TrackLogger(f"file:{os.getcwd()}/r.json", name="net", project="p", run_id="one")
    settings = {"devices": 1} if mode not in ("ddp", "ddp_fork", "ddp_spawn") else {
        "devices": 2, "strategy": mode}
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=2, log_every_n_steps=1, logger=logger,
        enable_progress_bar=False, enable_model_summary=False, **settings)
    stop_at = 6 if mode in ("fail", "kill") else None
    model = Net(act=torch.nn.ReLU() if mode == "test" else "relu", stop_at=stop_at)
    found = sorted(__import__("glob").glob("net/one/checkpoints/*.ckpt"))
    try:
        trainer.fit(model, data, data, ckpt_path=found[-1] if mode == "resume" else None)
    except ValueError:
        pass
    said = {"said": model.said, "val": float(trainer.callback_metrics.get("val_loss", 0))}
    if mode == "test":
        trainer.test(model, data, verbose=False)
    if trainer.is_global_zero:
        print(json.dumps(said))
"""


def said_by(output):
    """Return what the last line of a program says."""
    return json.loads(output.strip().splitlines()[-1])


def numbered(values):
    return {int(step): pytest.approx(value) for step, value in values.items()}


def test_a_training_and_a_test():
    """Values, hyperparameters and checkpoints."""
    said = said_by(run_program(PROGRAM, "test"))
    trial = only_trial("file:r.json")
    assert trial.metrics["loss"] == numbered(said["said"])
    assert list(trial.metrics["val_loss"]) == [3, 7]
    assert trial.metrics["val_loss"][7] == pytest.approx(said["val"])
    assert list(trial.metrics["test_loss"]) == [8]
    assert trial.parameters == {"lr": 0.1, "act": "ReLU()", "stop_at": None}
    assert (trial.status, trial.attempts, trial.project_id) == (Status.Completed, 2, "p")
    assert trial.metadata["checkpoint"]["path"].endswith(".ckpt")
    assert "net/one/checkpoints" in trial.metadata["checkpoint"]["path"]


def test_what_ends_a_training_is_kept():
    """With its message, though the hook for the end says only that it failed."""
    run_program(PROGRAM, "fail")
    trial = only_trial("file:r.json")
    assert trial.status == Status.Exception
    assert "ValueError: boom" in trial.failure["message"]
    assert "training_step" in trial.failure["traceback"]


def test_a_killed_training_continues_its_trial():
    """From its checkpoint; what the first process logged is there still."""
    run_program(PROGRAM, "kill", killed=True)
    said = said_by(run_program(PROGRAM, "resume"))
    trial = only_trial("file:r.json")
    assert list(trial.metrics["loss"]) == list(range(8))
    ours = {
        step: value for step, value in trial.metrics["loss"].items() if str(step) in said["said"]
    }
    assert ours == numbered(said["said"])
    assert (trial.status, trial.attempts) == (Status.Completed, 2)


@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork", "ddp_spawn"])
def test_two_processes_are_one_trial(strategy):
    """Every rank calls the logger; the one of rank zero logs."""
    output = run_program(PROGRAM, strategy)
    trial = only_trial("file:r.json")
    assert list(trial.metrics["loss"]) == [0, 1, 2, 3]
    assert trial.parameters["lr"] == 0.1
    assert (trial.status, trial.attempts) == (Status.Completed, 1)
    if strategy == "ddp":  # in the others, the model was trained in another process
        assert trial.metrics["loss"] == numbered(said_by(output)["said"])
