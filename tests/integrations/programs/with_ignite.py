"""Train a network with PyTorch-Ignite, in one process or in two."""

import os

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver

from tests.integrations.said import MODE, maybe_die, say
from track.integrations.ignite import TrackLogger

BATCHES = 3


def train(rank):
    torch.manual_seed(rank)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(engine, x):
        loss = torch.nn.functional.mse_loss(model(x), 2 * x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    trainer = Engine(step)
    parts = {"model": model, "optimizer": optimizer, "trainer": trainer}
    with TrackLogger(f"file:{os.getcwd()}/r.json", run_id="one") as logger:
        logger.log_params({"lr": 0.1})
        logger.attach_output_handler(
            trainer, Events.ITERATION_COMPLETED, "training", output_transform=lambda v: {"loss": v}
        )
        saver = DiskSaver("checkpoints", create_dir=True, require_empty=False)
        kept = Checkpoint(parts, saver, filename_pattern="last.pt")
        trainer.add_event_handler(Events.EPOCH_COMPLETED, kept)

        @trainer.on(Events.ITERATION_COMPLETED)
        def said(engine):
            if rank == 0:
                say("training/loss", engine.state.iteration, engine.state.output)

        @trainer.on(Events.EPOCH_COMPLETED)
        def died(engine):
            maybe_die(engine.state.epoch)

        if MODE == "resumed":
            Checkpoint.load_objects(parts, torch.load("checkpoints/last.pt"))
        trainer.run([torch.rand(8, 1) for _ in range(BATCHES)], max_epochs=6)


if __name__ == "__main__":
    if MODE == "two":
        with idist.Parallel(backend="gloo", nproc_per_node=2) as parallel:
            parallel.run(train)
    else:
        train(0)
