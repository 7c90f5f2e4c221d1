"""A script for W&B, with one import changed."""

from track.integrations import wandb  # instead of: import wandb

wandb.init(
    project="examples", name="wandb", config={"lr": 0.1, "epochs": 10}, to="file:report.json"
)
x = 1.0
for epoch in range(wandb.config.epochs):
    x -= wandb.config.lr * 2 * x
    wandb.log({"loss": x**2, "epoch": epoch})
wandb.summary["best"] = x**2
wandb.finish()
