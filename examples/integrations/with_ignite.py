"""Train with an engine of PyTorch-Ignite: ``pip install pytorch-ignite``."""

import torch
from ignite.engine import Engine, Events

from track.integrations.ignite import TrackLogger

model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def step(engine, x):
    """Do one step of training."""
    loss = torch.nn.functional.mse_loss(model(x), 2 * x)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


trainer = Engine(step)
with TrackLogger("file:report.json", project="examples", name="ignite") as logger:
    logger.log_params({"lr": 0.1})
    logger.attach_output_handler(
        trainer,
        event_name=Events.ITERATION_COMPLETED,
        tag="training",
        output_transform=lambda loss: {"loss": loss},
    )
    logger.attach_opt_params_handler(
        trainer, event_name=Events.EPOCH_COMPLETED, optimizer=optimizer
    )
    trainer.run([torch.rand(8, 1) for _ in range(4)], max_epochs=3)
