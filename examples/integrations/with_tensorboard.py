"""A script for TensorBoard, with one import changed."""

from track.integrations.tensorboard import SummaryWriter  # instead of torch.utils.tensorboard

with SummaryWriter("runs/example", to="file:report.json", project="examples") as writer:
    writer.add_hparams({"lr": 0.1}, {})
    x = 1.0
    for step in range(10):
        x -= 0.1 * 2 * x
        writer.add_scalar("loss/train", x**2, step)
        writer.add_scalars("x", {"value": x, "size": abs(x)}, step)
