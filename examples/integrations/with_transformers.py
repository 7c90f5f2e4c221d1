"""Train a tiny language model with Transformers: ``pip install 'transformers[torch]'``."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from track.integrations.transformers import TrackCallback


class Counting(torch.utils.data.Dataset):
    """Sequences that count, again and again."""

    def __len__(self):
        return 32

    def __getitem__(self, index):
        row = (torch.arange(12) + index) % 10
        return {"input_ids": row, "labels": row}


model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=10, n_positions=16))
arguments = TrainingArguments(
    output_dir="out",
    num_train_epochs=2,
    per_device_train_batch_size=8,
    logging_steps=1,
    save_strategy="no",
    disable_tqdm=True,
    use_cpu=True,
)
callback = TrackCallback("file:report.json", project="examples", name="transformers")
Trainer(model=model, args=arguments, train_dataset=Counting(), callbacks=[callback]).train()
