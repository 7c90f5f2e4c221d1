"""Optuna: each trial of a study is a trial, with all that Optuna says of it."""

import multiprocessing
import pickle
import threading
from contextlib import nullcontext

import pytest

import track
from tests.integrations.said import DIES_AT
from tests.integrations.support import run_program, trials_in
from tests.relays import served
from track.structure import Status

optuna = pytest.importorskip("optuna")

from track.integrations.optuna import TrackCallback
from track.integrations.optuna_storage import TrackBackend

pytestmark = pytest.mark.filterwarnings("ignore", "error::track.errors.TrackWarning")

optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial):
    x = trial.suggest_float("x", -1, 1)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    for step in range(3):
        trial.report(x * x + step, step)
        if trial.number == 1 and step == 1:
            raise optuna.TrialPruned
    if trial.number == 2:
        raise ValueError("boom")
    trial.set_user_attr("note", kind)
    return x * x


def by_name(uri):
    return {trial.name: trial for trial in trials_in(uri)}


def check(study, uri):
    """Compare what the store has with what the study says."""
    found = by_name(uri)
    assert len(found) == len(study.trials)
    for known in study.trials:
        trial = found[f"trial {known.number}"]
        assert trial.parameters == known.params
        assert trial.metrics.get("intermediate", {}) == known.intermediate_values
        assert trial.metrics.get("value", []) == ([] if known.values is None else [known.value])
        failed = known.state.name == "FAIL"
        assert trial.status == (Status.Exception if failed else Status.Completed)
        assert trial.project_id == study.study_name


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_is_logged_as_it_was(jobs):
    """Completed, pruned and failed trials, in one thread or in several."""
    study = optuna.create_study(study_name="s")
    study.optimize(
        objective, 5, callbacks=[TrackCallback("file:r.json")], catch=(ValueError,), n_jobs=jobs
    )
    check(study, "file:r.json")
    found = by_name("file:r.json")
    assert "pruned" in found["trial 1"].tags
    assert found["trial 2"].failure["message"] == "RuntimeError: the objective failed"
    assert found["trial 0"].metadata["note"] in ("a", "b")


def test_an_objective_that_logs_more():
    """The trial is there, and running, while the objective runs."""
    callback = TrackCallback("file:r.json", metrics="loss")
    running = []

    @callback.track
    def tracked(trial):
        x = trial.suggest_float("x", 0, 1)
        callback.log(trial, {"train": {"loss": x}}, step=0)
        running.append(by_name("file:r.json")[f"trial {trial.number}"].status)
        if trial.number == 1:
            raise ValueError("boom")
        return x

    study = optuna.create_study(study_name="s")
    study.optimize(tracked, 3, callbacks=[callback], catch=(ValueError,))
    found = by_name("file:r.json")
    assert running == [Status.Running] * 3
    for known in study.trials:
        trial = found[f"trial {known.number}"]
        assert trial.parameters == known.params
        assert trial.metrics["train/loss"] == {0: known.params["x"]}
        assert known.user_attrs["track_uid"] == trial.uid
    assert found["trial 0"].metrics["loss"] == [study.trials[0].value]
    assert found["trial 1"].failure["message"] == "ValueError: boom"
    assert "tracked" in found["trial 1"].failure["traceback"]
    assert [found[f"trial {n}"].status for n in range(3)] == [
        Status.Completed, Status.Exception, Status.Completed,
    ]  # fmt: skip


def test_several_objectives():
    """Values have names, or numbers."""
    study = optuna.create_study(study_name="s", directions=["minimize", "maximize"])
    study.optimize(lambda trial: (1.0, 2.0), 1, callbacks=[TrackCallback("file:a.json")])
    study.optimize(
        lambda trial: (1.0, 2.0), 1, callbacks=[TrackCallback("file:b.json", metrics=["l", "acc"])]
    )
    assert trials_in("file:a.json")[0].metrics == {"value_0": [1.0], "value_1": [2.0]}
    assert trials_in("file:b.json")[0].metrics == {"l": [1.0], "acc": [2.0]}


def test_two_studies_with_one_callback():
    """In threads of their own."""
    callback = TrackCallback("file:r.json")
    studies = [optuna.create_study(study_name=name) for name in ("s", "t")]
    threads = [
        threading.Thread(target=study.optimize, args=(lambda t: t.suggest_float("x", 0, 1), 4),
                         kwargs={"callbacks": [callback]})
        for study in studies
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = trials_in("file:r.json")
    assert sorted(trial.project_id for trial in found) == ["s"] * 4 + ["t"] * 4


# A storage of Optuna's in a store of Track's


def search(uri, trials, queue=None):
    """Search in a study that others search in, too."""
    storage = optuna.storages.JournalStorage(TrackBackend(uri))
    study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), trials)


@pytest.mark.parametrize("kind", ["file", "lmdb", "socket"])
def test_processes_that_search_together(kind, tmp_path):
    """Each trial has a number of its own, and everybody sees the same study."""
    pytest.importorskip("lmdb")
    with served(f"file:{tmp_path}/far.json") if kind == "socket" else nullcontext() as running:
        uri = running.uri() if running else f"{kind}:{tmp_path}/r.{kind}"
        spawn = multiprocessing.get_context("spawn")
        workers = [spawn.Process(target=search, args=(uri, 5)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0]
        backend = TrackBackend(uri)
        study = optuna.load_study(study_name="s", storage=optuna.storages.JournalStorage(backend))
        assert [trial.number for trial in study.trials] == list(range(10))
        assert {trial.state.name for trial in study.trials} == {"COMPLETE"}
        assert backend.read_logs(0)[3:] == backend.read_logs(3)
        with track.open(uri) as store:
            assert store.trials() == []


SEARCH = """
import optuna, os
from tests.integrations.said import DIES_AT, MODE, in_two_processes, maybe_die
from track.integrations.optuna import TrackCallback
from track.integrations.optuna_storage import TrackBackend

def main(rank=0):
    storage = optuna.storages.JournalStorage(TrackBackend("file:r.json"))
    study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True)
    callback = TrackCallback("file:r.json")

    @callback.track
    def objective(trial):
        x = trial.suggest_float("x", -1, 1)
        callback.log(trial, {"loss": x})
        maybe_die(trial.number)
        return x

    study.optimize(objective, DIES_AT + 1, callbacks=[callback])

if __name__ == "__main__":
    in_two_processes(main) if MODE == "two" else main()
"""


def study_in(uri):
    storage = optuna.storages.JournalStorage(TrackBackend(uri))
    return optuna.load_study(study_name="s", storage=storage)


def test_a_search_that_is_killed_and_continued():
    """What was logged before is there, and the trial that was killed is not completed."""
    run_program(SEARCH, "killed", killed=True)
    run_program(SEARCH, "resumed")
    study, found = study_in("file:r.json"), by_name("file:r.json")
    assert len(found) == len(study.trials) == 2 * (DIES_AT + 1)
    for known in study.trials:
        trial = found[f"trial {known.number}"]
        assert (trial.parameters, trial.metrics["loss"]) == (known.params, [known.params["x"]])
        assert trial.metrics.get("value", []) == (known.values or [])
        assert (trial.status == Status.Completed) == (known.state.name == "COMPLETE")
    assert [known.number for known in study.trials if known.state.name != "COMPLETE"] == [DIES_AT]


def test_two_processes_that_search_with_a_callback():
    """In one store, which is the storage, too: each logs its own trials."""
    run_program(SEARCH, "two", "0")
    study = study_in("file:r.json")
    assert len(study.trials) == 2 * (DIES_AT + 1)
    check(study, "file:r.json")


def test_storages_are_told_apart_and_travel(tmp_path):
    """By their names; a copy reads what the other wrote."""
    first, other = TrackBackend("file:r.json"), TrackBackend("file:r.json", name="other")
    first.append_logs([{"op_code": 0, "n": 1}, {"op_code": 0, "n": 2}])
    other.append_logs([{"op_code": 0, "n": 9}])
    first.append_logs([{"op_code": 0, "n": 3}])
    arrived = pickle.loads(pickle.dumps(first))
    assert [entry["n"] for entry in arrived.read_logs(1)] == [2, 3]
    assert [entry["n"] for entry in other.read_logs(0)] == [9]
    assert arrived.read_logs(7) == []
