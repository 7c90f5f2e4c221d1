"""What every storage backend promises about queries, and about updates of what a query finds."""

import re
import threading

import pytest

from tests.programs import run_at_once
from track.errors import QueryError
from track.structure import CustomStatus, Project, Status, Trial, TrialGroup
from track.utils import ItemNotFound

NEW, RESERVED = CustomStatus("new", 1), CustomStatus("reserved", 2)
PENDING = {"group_id": "group", "status": {"$in": ["new", "suspended", "interrupted"]}}

STATUSES = [NEW, NEW, RESERVED, Status.Interrupted, Status.Suspended, Status.Completed]


FOUND = [
    (None, "abcdef"),
    ({}, "abcdef"),
    ([], "abcdef"),
    ({"name": "c"}, "c"),
    ({"uid": "d_0"}, "d"),
    ({"_uid": "d_0"}, "d"),
    ({"hash": "d", "revision": 0}, "d"),
    ({"uid": "d_1"}, ""),
    ({"_uid": None}, ""),
    ({"name": "a", "uid": "b_0"}, ""),
    ({"group_id": "group"}, "abcdef"),
    ({"group_id": "other"}, ""),
    ({"status": NEW}, "ab"),
    ({"status": Status.Completed}, "f"),
    ({"status": {"$in": [NEW, Status.Completed]}}, "abf"),
    ({"status": {"$in": ["new", "suspended", "interrupted"]}}, "abde"),
    ({"status": {"$in": []}}, ""),
    ({"status": {"$nin": ["new", "completed"]}}, "cde"),
    ({"status": {"$ne": NEW}}, "cdef"),
    ({"status": {"$ne": Status.Completed}}, "abcde"),
    ({"parameters.lr": 0.2}, "c"),
    ({"parameters.model.depth": {"$gte": 4}}, "ef"),
    ({"parameters.model.depth": {"$gt": 1, "$lt": 4}}, "cd"),
    ({"parameters.model": {"depth": 3}}, "d"),
    ({"metadata.heartbeat": {"$lte": 20}}, "bc"),
    ({"metadata.heartbeat": None}, "a"),
    ({"metadata.heartbeat": {"$exists": False}}, "a"),
    ({"metadata.heartbeat": {"$exists": True, "$ne": 10}}, "cdef"),
    ({"metadata.heartbeat.deeper": {"$exists": True}}, ""),
    ({"metadata.none.at.all": 1}, ""),
    ({"name": {"$regex": "^[ab]$"}}, "ab"),
    ({"name": {"$not": {"$in": ["a", "b"]}}}, "cdef"),
    ({"name": {"$lt": 3}}, ""),
    ({"$or": [{"name": "a"}, {"status": Status.Completed}]}, "af"),
    ({"$and": [{"status": NEW}, {"name": "b"}]}, "b"),
    ({"status": "reserved", "metadata.heartbeat": {"$lte": 20}}, "c"),
    ([("name", {"$ne": "a"}), ("status", NEW)], "b"),
]
"""Queries, and the names of the trials that they find in :func:`filled`."""


@pytest.fixture
def filled(store):
    """A store with six trials, named a to f, of different statuses."""
    store.new_project(Project(name="project", metadata={"owner": "me"}))
    store.new_trial_group(
        TrialGroup(_uid="group", name="g", project_id="project", metadata={"name": "exp", "n": 1})
    )
    for index, status in enumerate(STATUSES):
        trial = Trial(
            _hash="abcdef"[index],
            name="abcdef"[index],
            project_id="project",
            group_id="group",
            status=status,
            parameters={"lr": index / 10, "model": {"depth": index}},
            metadata={"heartbeat": index * 10} if index else {},
        )
        assert store.new_trial(trial) is trial
    return store


def names(store, query):
    return "".join(trial.name for trial in store.fetch_trials(query))


class QueryContract:
    """The suite."""

    def test_trials_are_found(self, filled):
        """Each operator finds what it says, in the order the trials were made."""
        for query, expected in FOUND:
            assert names(filled, query) == expected, query

    def test_groups_and_projects_are_found(self, filled):
        """Groups and projects are queried like trials."""
        (group,) = filled.fetch_groups(query={"metadata.name": "exp", "project_id": "project"})
        assert (group.uid, len(group.trials)) == ("group", 6)
        assert filled.fetch_groups({"_uid": "group"}) == [group]
        assert filled.fetch_groups({"_uid": None}) == []
        assert filled.fetch_groups({"metadata.n": {"$gt": 1}}) == []
        (project,) = filled.fetch_projects({"metadata.owner": "me"})
        assert (project.name, len(project.trials), project.groups) == ("project", 6, {group})
        assert filled.fetch_projects({"name": "other"}) == []

    def test_nonsense_raises_a_runtime_error(self, filled):
        """An unknown attribute or operator is named, for each kind of object."""
        for query in ({"bogus": 1}, {"name": {"$almost": 1}}, {"$nor": []}, [("bogus.x", 1)]):
            for find in (filled.fetch_trials, filled.fetch_groups, filled.fetch_projects):
                with pytest.raises(RuntimeError, match=r"bogus|almost|nor"):
                    find(query)
            with pytest.raises(RuntimeError):
                filled.fetch_and_update_trial(query, "set_trial_status", status=NEW)

    def test_a_pattern_that_is_none_is_named(self, filled):
        """The error is the same on every backend."""
        with pytest.raises(QueryError, match=r"'\(' is not a valid regular expression"):
            filled.fetch_trials({"uid": {"$regex": "("}})

    def test_patterns_are_those_of_re(self, filled):
        """They work on every backend, including what other engines lack or treat differently."""
        for pattern in (r"^(?!b)[ab]$", r"(.)(?<=a)\Z", re.compile("^(A|x)$", re.IGNORECASE)):
            assert names(filled, {"name": {"$regex": pattern}}) == "a"

    def test_conditions_stop_at_the_first_that_fails(self, filled):
        """Conditions after a failed one are not evaluated."""
        assert filled.fetch_trials([("name", "nobody"), ("bogus", 1)]) == []
        with pytest.raises(RuntimeError, match="bogus"):
            filled.fetch_trials([("bogus", 1), ("name", "nobody")])

    def test_one_trial_is_updated(self, filled):
        """The oldest match is updated and comes back as it is afterwards."""
        trial = filled.fetch_and_update_trial(
            query=PENDING, attr="set_trial_status", status=RESERVED
        )
        assert (trial.name, trial.status, trial.metadata["_update_count"]) == ("a", RESERVED, 1)
        assert names(filled, {"status": RESERVED}) == "ac"
        assert filled.fetch_trials({"uid": "a_0"})[0].status == RESERVED

    def test_a_status_is_compared_and_set(self, filled):
        """Asking for the status it should have makes the update conditional."""
        query = {"uid": "a_0", "status": NEW}
        filled.fetch_and_update_trial(query, "set_trial_status", Status.Completed)
        with pytest.raises(ItemNotFound):
            filled.fetch_and_update_trial(query, "set_trial_status", status=Status.Completed)

    def test_any_change_of_a_trial_can_be_the_update(self, filled):
        """Every call that changes a trial works through a query."""
        for attr, kwargs, path, value in (
            ("log_trial_metadata", {"heartbeat": 9}, "metadata.heartbeat", 9),
            ("log_trial_arguments", {"lr": 9}, "parameters.lr", 9),
            ("log_trial_metrics", {"loss": 9}, "metrics.loss", [9]),
            ("add_trial_tags", {"x": 9}, "tags.x", 9),
        ):
            filled.fetch_and_update_trial({"name": "b"}, attr, **kwargs)
            assert names(filled, {path: value}) == "b"

    def test_one_group_is_updated(self, filled):
        """Metadata is added to what the group has."""
        group = filled.fetch_and_update_group({"_uid": "group"}, "set_group_metadata", n=2, new=[1])
        assert group.metadata == {"name": "exp", "n": 2, "new": [1]}
        assert filled.fetch_groups()[0].metadata == group.metadata
        filled.set_group_metadata(group, n=3)
        assert filled.fetch_groups({"metadata.n": 3}) == [group]

    def test_no_match_is_an_error(self, filled):
        """ItemNotFound says what did not match, and nothing changes."""
        with pytest.raises(ItemNotFound, match="nobody"):
            filled.fetch_and_update_trial({"name": "nobody"}, "set_trial_status", status=NEW)
        with pytest.raises(ItemNotFound):
            filled.fetch_and_update_group({"_uid": None}, "set_group_metadata", a=1)
        assert names(filled, {"metadata._update_count": {"$gt": 0}}) == ""

    def test_unknown_updates_are_refused(self, filled):
        """Only calls that change the object can be named."""
        for attr in ("bogus", "fetch_trials", "new_trial", "close", "__init__"):
            for update in (filled.fetch_and_update_trial, filled.fetch_and_update_group):
                with pytest.raises(AttributeError, match=attr):
                    update({}, attr)

    def test_threads_never_reserve_the_same_trial(self, store):
        """Twelve workers on nine pending trials get nine different ones."""
        store.new_project(Project(name="project"))
        store.new_trial_group(TrialGroup(_uid="group", name="g", project_id="project"))
        for index in range(9):
            store.new_trial(
                Trial(_hash=f"h{index}", project_id="project", group_id="group", status=NEW)
            )
        reserved, missed, start = [], [], threading.Barrier(12)

        def work():
            start.wait()
            try:
                found = store.fetch_and_update_trial(PENDING, "set_trial_status", status=RESERVED)
            except ItemNotFound:
                missed.append(1)
            else:
                reserved.append(found.uid)

        workers = [threading.Thread(target=work) for _ in range(12)]
        run_at_once(workers)
        assert sorted(reserved) == [f"h{index}_0" for index in range(9)]
        assert len(missed) == 3
