"""What W&B's package is told, by a double of it; the real one is tested in tests/integrations."""

import sys
from contextlib import nullcontext
from io import BytesIO
from types import SimpleNamespace

import pytest

from track.errors import PushFailed
from track.exchange import Pusher, open_target


class Run:
    """A run that keeps its rows when it is resumed, and drops steps that go back, as W&B does."""

    def __init__(self, uid):
        self.id = uid
        self.rows = []
        self.dropped = []
        self.exit_codes = []
        self.config = {}
        self.config_updates = []
        self.artifacts = []
        self.offline = False

    @property
    def step(self):
        return self.rows[-1][0] + 1 if self.rows else 0

    def define_metric(self, *args, **kwargs):
        """Take note of nothing."""

    def log(self, values, step, commit):
        (self.rows if step >= self.step else self.dropped).append((step, values))

    def log_artifact(self, version):
        self.artifacts.append(version)
        return SimpleNamespace(wait=lambda: version.waited.append(self.step))

    def finish(self, exit_code):
        self.exit_codes.append(exit_code)


class Artifact:
    """A version of an artifact that keeps its files in memory."""

    def __init__(self, name, kind):
        self.name, self.kind = name, kind
        self.files = {}
        self.waited = []

    def new_file(self, name, mode):
        assert mode == "wb"
        self.files[name] = file = BytesIO()
        return nullcontext(file)


@pytest.fixture
def wandb(monkeypatch):
    """A double of the package, with the runs at W&B."""
    runs = {}

    def init(*, id, **options):  # noqa: A002 - as it is called
        run = runs.setdefault(id, Run(id))
        run.options = options
        run.config = SimpleNamespace(update=lambda values, **_: run.config_updates.append(values))
        return run

    double = SimpleNamespace(
        init=init,
        runs=runs,
        Artifact=Artifact,
        Settings=lambda **options: options,
        Html=lambda data, inject: ("html", data),
    )
    monkeypatch.setitem(sys.modules, "wandb", double)
    return double


def push(client):
    with Pusher(client.protocol, open_target("wandb:team"), wanted_as="remember nothing") as pusher:
        return pusher.push()


def test_rows_are_numbered_and_none_is_sent_twice(client, wandb):
    """Steps that go back are rows as all others; a run goes on where W&B says it is."""
    trial = client.new_trial(name="n", parameters={"lr": 0.1})
    for step in (5, 3):
        trial.log_metrics(step=step, loss=float(step))
    push(client)
    trial.log_text("note", "a < b", 9)
    trial.finish()
    push(client)
    push(client)
    run = wandb.runs[trial.trial.uid]
    assert run.options["project"] == "digits"
    assert (run.options["entity"], run.options["name"]) == ("team", "n")
    assert [(number, values["track/step"]) for number, values in run.rows] == [
        (1, 5),
        (2, 3),
        (3, 9),
    ]
    assert run.rows[2][1]["note"] == ("html", "<pre>a &lt; b</pre>")
    assert 1.7e9 < run.rows[0][1]["_timestamp"] < 1e11
    assert run.dropped == []
    assert run.exit_codes[0] is None  # it had not ended
    assert run.exit_codes[1] == 0
    assert run.config_updates[0] == {"lr": 0.1}


def test_a_run_that_does_not_begin_is_one_error(client, wandb):
    client.new_trial(parameters={}).log_metrics(step=0, loss=1.0)

    def fail(**options):
        raise RuntimeError("no key")

    wandb.init = fail
    with pytest.raises(PushFailed, match="no key"):
        push(client)


def test_files_arrive_before_later_rows(client, wandb, tmp_path):
    """A later row tells W&B, and so the next push, that they are there."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.txt").write_bytes(b"a")
    trial = client.new_trial(parameters={})
    trial.log_metrics(step=0, loss=1.0)
    trial.log_artifact("model", "weights")
    trial.log_directory("model")
    trial.log_metrics(step=1, loss=0.5)
    push(client)
    trial.finish()
    push(client)
    run = wandb.runs[trial.trial.uid]
    sent = [(one.name, one.kind, one.waited) for one in run.artifacts]
    assert sent == [("weights", "artifact", [2]), (f"files-{run.id}", "files", [2])]
    contents = [
        {name: file.getvalue() for name, file in one.files.items()} for one in run.artifacts
    ]
    assert contents == [{"a.txt": b"a"}, {"model/a.txt": b"a"}]
    assert [number for number, _ in run.rows] == [1, 4]


def test_an_artifact_that_is_rejected_is_told(client, wandb, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a")
    client.new_trial(parameters={}).log_artifact(tmp_path / "a.txt", "weights")

    def refuse(name, kind):
        raise ValueError("a bad name")

    wandb.Artifact = refuse
    done = push(client)
    assert done.problems == ["the artifact weights is left out: a bad name"]
