"""A script for W&B."""

from tests.integrations.said import DIES_AT, MODE, maybe_die, say
from track.integrations import wandb

run = wandb.init(id="one", resume="allow", config={"lr": 0.1}, to="file:r.json")
for step in range(DIES_AT + 1 if MODE == "resumed" else 0, 6):
    wandb.log({"loss": step / 8}, step=step)
    say("loss", step, step / 8)
    maybe_die(step)
wandb.finish()
