"""Train a small network with PyTorch Lightning: ``pip install lightning``."""

import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset

from track.integrations.lightning import TrackLogger


class Net(L.LightningModule):
    """A line through points."""

    def __init__(self, lr=0.1):
        super().__init__()
        self.save_hyperparameters()  # the parameters of the trial
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, _):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.layer(x), y)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


if __name__ == "__main__":
    x = torch.linspace(0, 1, 64).unsqueeze(1)
    data = DataLoader(TensorDataset(x, 2 * x), batch_size=16)
    logger = TrackLogger("file:report.json", project="examples", name="lightning")
    trainer = L.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=logger,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Net(), data)
