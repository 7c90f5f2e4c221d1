"""The examples of the documentation, as they stand there."""

import json
import os
import subprocess
import sys

import pytest

import track
from track import TrackClient
from track.persistence import register
from track.persistence.protocol import Protocol


def run(code, *arguments, **environment):
    """Run a program in the working directory of the test, and return what it printed."""
    command = [sys.executable, "-c", code] if "\n" in code else [sys.executable, code]
    done = subprocess.run(
        [*command, *arguments],
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(track.__file__))}
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_example_of_the_documentation(capsys, tmp_path):
    """As it stands there."""
    client = TrackClient("file://client_test.json")
    client.set_project(name="test_client")

    trial = client.new_trial()
    trial.log_arguments(batch_size=256)

    with trial:
        trial.log_metrics(step=1, epoch_loss=1)
        trial.log_metrics(accuracy=0.98)

    client.save()
    client.report()

    printed = json.loads(capsys.readouterr().out)
    assert printed["parameters"] == {"batch_size": 256}
    assert printed["metrics"] == {"epoch_loss": {"1": 1}, "accuracy": [0.98]}
    assert printed["status"] == {"value": 302, "name": "Completed"}
    (project,) = json.loads((tmp_path / "client_test.json").read_text())
    assert (project["name"], len(project["trials"])) == ("test_client", 1)


def test_the_second_example_of_the_documentation(capsys):
    """As it stands there, with a group, metadata and a chrono, and the sample's key order."""
    for revision in range(2):
        client = TrackClient("file://client_test.json")
        project = client.set_project(name="paper_78997")
        group = client.set_group(name="idea_4573")
        trial = client.new_trial(name="final_trial_2", description="almost graduating")
        trial.log_arguments(batch_size=256, lr=0.01, momentum=0.99)
        trial.log_metadata(gpu="V100")
        with trial:
            for e in range(2):
                loss = 0.0
                for batch in range(3):
                    with trial.chrono("batch_time"):
                        loss += batch
                trial.log_metrics(step=e, epoch_loss=loss)
            trial.log_metrics(accuracy=0.98)
        client.report()
        client.close()

        printed = json.loads(capsys.readouterr().out)
        assert list(printed) == [
            *("revision", "name", "description", "version", "tags", "parameters", "metadata"),
            *("metrics", "chronos", "errors", "status"),
        ]
        assert printed["revision"] == revision
        assert (printed["name"], printed["description"]) == ("final_trial_2", "almost graduating")
        assert printed["metadata"] == {"gpu": "V100"}
        assert printed["metrics"] == {"epoch_loss": {"0": 3.0, "1": 3.0}, "accuracy": [0.98]}
        assert list(printed["chronos"]) == ["runtime", "batch_time"]
        assert isinstance(printed["chronos"]["runtime"], float)
        batch_time = printed["chronos"]["batch_time"]
        assert list(batch_time) == ["avg", "min", "max", "sd", "count", "unit"]
        assert (batch_time["count"], batch_time["unit"]) == (6, "s")
        assert list(printed["status"]) == ["value", "name"]
    assert (project.uid, group.project_id) == ("paper_78997", "paper_78997")
    trials = TrackClient("file:client_test.json").protocol.fetch_trials({"group_id": group.uid})
    assert [trial.revision for trial in trials] == [0, 1]


def test_the_tutorial_of_the_documentation(tmp_path):
    """The file holds everything at the end of training, though nobody saved it."""
    (tmp_path / "main.py").write_text(
        "import argparse\n"
        "from track import TrackClient\n"
        "def main():\n"
        "    parser = argparse.ArgumentParser()\n"
        "    parser.add_argument('--lr', type=float, default=0.1)\n"
        "    args = parser.parse_args()\n"
        "    client = TrackClient('file:mnist_example.json')\n"
        "    trial = client.new_trial(arguments=args)\n"
        "    for epoch in range(2):\n"
        "        trial.log_metrics(error_rate=1 - epoch / 4)\n"
        "main()\n"
    )
    run("main.py", "--lr", "0.5")
    (project,) = json.loads((tmp_path / "mnist_example.json").read_text())
    (trial,) = project["trials"]
    assert trial["parameters"] == {"lr": 0.5}
    assert trial["metrics"] == {"error_rate": [1, 0.75]}


def test_bringing_ones_own_backend():
    """A subclass of the Protocol is used naturally once it is registered."""

    class MyOwnBackend(Protocol):
        def __init__(self, uri):
            super().__init__(uri)
            self.calls = []

        def new_project(self, project):
            self.calls.append(project.name)
            return project

        def new_trial(self, trial, auto_increment=False):
            self.calls.append(auto_increment)
            return trial

        def log_trial_metrics(self, trial, step=None, aggregator=None, **kwargs):
            self.calls.append((trial.uid, step, kwargs))

    register("byob", MyOwnBackend)
    client = TrackClient("byob://somewhere")
    trial = client.new_trial(parameters={"lr": 1})
    trial.log_metrics(step=3, loss=0.5)
    assert client.protocol.uri == "byob://somewhere"
    assert client.protocol.calls == ["orphan", True, (trial.uid, 3, {"loss": 0.5})]
    with pytest.raises(NotImplementedError, match=r"MyOwnBackend.*add_trial_tags"):
        trial.add_tags(a=1)


# What only shows when a whole program runs


def test_the_default_version_is_that_of_the_program(tmp_path):
    """It is the hash of the executed file."""
    (tmp_path / "main.py").write_text(
        "from track import TrackClient\n"
        "from track.versioning import default_version_hash\n"
        "client = TrackClient('memory:')\n"
        "client.set_version()\n"
        "client.log_arguments(a=1)\n"
        "assert client.trial.version == default_version_hash()\n"
        "print(client.trial.version)\n"
    )
    assert len(run("main.py")) == 65


def test_saving_elsewhere_does_not_keep_the_report_from_being_written(tmp_path):
    """At exit the store's own report is brought up to date."""
    run(
        "from track import TrackClient\n"
        "client = TrackClient('file:report.json')\n"
        "client.log_metrics(loss=1)\n"
        "client.save('other.json')\n"
    )
    assert len(json.loads((tmp_path / "report.json").read_text())) == 1
