"""Train in a loop of one's own with Accelerate: ``pip install accelerate``."""

import torch
from accelerate import Accelerator

import track.integrations.accelerate  # noqa: F401 - makes log_with="track" known

accelerator = Accelerator(log_with="track", cpu=True)
accelerator.init_trackers(
    "examples",
    config={"lr": 0.1},
    init_kwargs={"track": {"to": "file:report.json", "name": "accelerate"}},
)
model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model, optimizer = accelerator.prepare(model, optimizer)
x = torch.linspace(0, 1, 16).unsqueeze(1).to(accelerator.device)

for step in range(10):
    loss = torch.nn.functional.mse_loss(model(x), 2 * x)
    accelerator.backward(loss)
    optimizer.step()
    optimizer.zero_grad()
    accelerator.log({"loss": loss}, step=step)

accelerator.end_training()
