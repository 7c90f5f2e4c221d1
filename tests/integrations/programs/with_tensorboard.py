"""A script for TensorBoard."""

from tests.integrations.said import DIES_AT, MODE, maybe_die, say
from track.integrations.tensorboard import SummaryWriter

with SummaryWriter("runs/one", to="file:r.json", run_id="one") as writer:
    writer.add_hparams({"lr": 0.1}, {})
    for step in range(DIES_AT + 1 if MODE == "resumed" else 0, 6):
        writer.add_scalar("loss", step / 8, step)
        say("loss", step, step / 8)
        maybe_die(step)
