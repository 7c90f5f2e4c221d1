"""Transformers and Accelerate: tiny models made here, one process and two, killed and resumed."""

import json
from importlib.util import find_spec

import pytest

import track
from tests.integrations.support import only_trial, run_program
from track.structure import Status

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")

needs_transformers = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed"
)
needs_accelerate = pytest.mark.skipif(
    find_spec("accelerate") is None, reason="accelerate is not installed"
)

TRAINER = """
import json
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
import track.integrations.transformers
from tests.integrations.said import MODE, in_two_processes, maybe_die

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 16
    def __getitem__(self, index):
        row = torch.arange(8) % 7
        return {"input_ids": row, "labels": row}

class Stop(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        maybe_die(state.global_step)
        if state.global_step == 3 and MODE == "fail":
            raise ValueError("boom")

def main(rank=0):
    torch.manual_seed(0)
    config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=10, n_positions=16)
    arguments = TrainingArguments(
        output_dir="out", num_train_epochs=2, per_device_train_batch_size=4, logging_steps=1,
        eval_strategy="epoch", save_steps=2, report_to=["track"], disable_tqdm=True, use_cpu=True,
        learning_rate=1e-3, hub_token="hf_" + "a1" * 12)
    trainer = Trainer(model=GPT2LMHeadModel(config), args=arguments, train_dataset=Data(),
                      eval_dataset=Data(), callbacks=[Stop()])
    if MODE == "evaluate":
        print(json.dumps(trainer.evaluate()))
    else:
        trainer.train(resume_from_checkpoint=MODE == "resumed")
        if rank == 0:
            print(json.dumps(trainer.state.log_history))

if __name__ == "__main__":
    in_two_processes(main) if MODE == "two" else main()
"""


def train(*arguments, **options):
    output = run_program(TRAINER, *arguments, TRACK_LOG_BACKEND_NAME="file:r.json", **options)
    return None if options.get("killed") else json.loads(output.strip().splitlines()[-1])


@needs_transformers
@pytest.mark.parametrize("mode", ["one", "two"])
def test_a_trainer_that_reports_to_track(mode, free_tcp_ports):
    """By name, after one import: every value that the first of its processes logged."""
    history = train(mode, *map(str, free_tcp_ports))
    trial = only_trial("file:r.json")
    for name in ("loss", "grad_norm", "learning_rate"):
        expected = {entry["step"]: entry[name] for entry in history if name in entry}
        assert trial.metrics[f"train/{name}"] == expected
    expected = {entry["step"]: entry["eval_loss"] for entry in history if "eval_loss" in entry}
    assert trial.metrics["eval/loss"] == expected
    assert trial.metrics["train/train_loss"] == [history[-1]["train_loss"]]
    assert trial.parameters["learning_rate"] == 1e-3
    assert "output_dir" not in trial.parameters
    assert trial.metadata["training_arguments"]["output_dir"] == "out"
    assert trial.metadata["model_config"]["n_embd"] == 8
    assert trial.metadata["num_parameters"] > 0
    assert "a1a1" not in repr((trial.metadata, trial.parameters))
    assert (trial.status, trial.attempts) == (Status.Completed, 1)


@needs_transformers
def test_a_killed_trainer_resumes_its_trial():
    """Its checkpoint knows which."""
    train("killed", killed=True)
    history = train("resumed")
    trial = only_trial("file:r.json")
    assert list(trial.metrics["train/loss"]) == list(range(1, 9))
    expected = {entry["step"]: entry["loss"] for entry in history if "loss" in entry}
    assert (
        trial.metrics["train/loss"].items() >= {k: v for k, v in expected.items() if k > 2}.items()
    )
    assert (trial.status, trial.attempts) == (Status.Completed, 2)


@needs_transformers
def test_a_trainer_that_fails():
    """It calls no hook then: the end of the program says why."""
    with pytest.raises(AssertionError, match="boom"):
        train("fail")
    trial = only_trial("file:r.json")
    assert trial.status == Status.Exception
    assert "ValueError: boom" in trial.failure["message"]


@needs_transformers
def test_an_evaluation_without_a_training():
    """Is logged, too."""
    said = train("evaluate")
    trial = only_trial("file:r.json")
    assert trial.metrics["eval/loss"] == {0: said["eval_loss"]}


ACCELERATED = """
import json
import torch
from accelerate import Accelerator
import track.integrations.accelerate
from tests.integrations.said import DIES_AT, MODE, in_two_processes, maybe_die

def main(rank=0):
    accelerator = Accelerator(log_with="track", cpu=True)
    accelerator.init_trackers(
        "p", {"lr": 0.1, "nested": {"output_dir": "x"}},
        init_kwargs={"track": {"to": "file:r.json", "run_id": "one"}})
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer = accelerator.prepare(model, optimizer)
    said = {}
    for step in range(DIES_AT + 1 if MODE == "resumed" else 0, 6):
        loss = model(torch.ones(4, 2)).pow(2).mean()
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        said[step] = loss.item()
        accelerator.log({"loss": loss, "rank": accelerator.process_index}, step=step)
        maybe_die(step)
    if accelerator.is_main_process:
        tracker = accelerator.get_tracker("track")
        tracker.log_table("examples", columns=["a"], data=[[1]])
        print(json.dumps(said))
    accelerator.end_training()

if __name__ == "__main__":
    in_two_processes(main) if MODE == "two" else main()
"""


@needs_accelerate
def test_an_accelerator_killed_and_continued():
    """With one `run_id`, both processes log to one trial."""
    run_program(ACCELERATED, "killed", killed=True)
    said = json.loads(run_program(ACCELERATED, "resumed").strip().splitlines()[-1])
    trial = only_trial("file:r.json")
    assert list(trial.metrics["loss"]) == list(range(6))
    assert {s: trial.metrics["loss"][s] for s in (4, 5)} == {
        int(step): pytest.approx(value) for step, value in said.items()
    }
    assert (trial.parameters, trial.project_id) == ({"lr": 0.1}, "p")
    assert trial.metadata["nested"] == {"output_dir": "x"}
    with track.open("file:r.json") as store:
        (table,) = store.media(trial, "examples")
        assert json.loads(store.content_of(table))["rows"] == [[1]]
    assert (trial.status, trial.attempts) == (Status.Completed, 2)


@needs_accelerate
def test_two_processes_of_an_accelerator_are_one_trial(free_tcp_ports):
    """Only the main one logs."""
    output = run_program(ACCELERATED, "two", *map(str, free_tcp_ports))
    trial = only_trial("file:r.json")
    said = json.loads(output.strip().splitlines()[-1])
    assert trial.metrics["loss"] == {
        int(step): pytest.approx(value) for step, value in said.items()
    }
    assert set(trial.metrics["rank"].values()) == {0}
    assert (trial.status, trial.attempts) == (Status.Completed, 1)
