"""Queries of clients: none of them keeps the server from serving others."""

import threading

import pytest

from tests.hostile import failure, hostile
from tests.relays import PATIENCE_S, served
from track.errors import ItemNotFound, QueryError
from track.persistence import get_protocol
from track.relay.limits import Limits
from track.relay.messages import Verb
from track.structure import Project, Trial

ENDLESS = "a" * 40 + "!"


@pytest.fixture
def clients(tmp_path):
    """Two clients of a server that gives a query two seconds, and one trial with a long name."""
    with served("memory:", Limits(query_s=2.0)) as running:
        both = [get_protocol(running.uri(spool=tmp_path / name)) for name in "ab"]
        both[0].new_project(Project(name="p"))
        both[0].new_trial(Trial(_hash="h", name=ENDLESS, project_id="p"))
        yield both
        for client in both:
            client.close()


def test_an_expression_without_end_is_ended(clients):
    """Others log and ask meanwhile, and afterwards."""
    told = []

    def ask():
        try:
            clients[0].fetch_trials({"name": {"$regex": "^(a+)+$"}})
        except QueryError as error:
            told.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    answered = 0
    while asking.is_alive() or not answered:
        clients[1].log_trial_metrics(Trial(_hash="h"), step=answered, loss=0.5)
        clients[1].forwarder.drain_all()
        answered += 1
    asking.join(PATIENCE_S)
    assert answered > 10
    assert "takes too long: more than 2 s for a text of 41 characters" in told[0]
    assert [trial.name for trial in clients[1].fetch_trials({"name": {"$regex": "!$"}})] == [
        ENDLESS
    ]


def test_an_update_with_such_an_expression_is_ended(clients):
    """It is decided in the exclusive section, which nobody may hold for long."""
    with pytest.raises(QueryError, match="takes too long"):
        clients[0].fetch_and_update_trial(
            {"name": {"$regex": "^(a|a)+$"}}, "log_trial_metadata", touched=True
        )
    clients[1].fetch_and_update_trial({"uid": "h_0"}, "log_trial_metadata", touched=True)


def test_all_trials_together_have_an_end():
    """A query of many small conditions may take as long as one of a large one."""
    with served("memory:", Limits(query_s=0.0)) as running, hostile(running.port) as client:
        client.log_in()
        many = {"$or": [[("uid", str(number))] for number in range(100)]}
        for verb, header in (
            (Verb.CALL, ["find", "trial", many]),
            (Verb.CALL, ["find_first", "trial", many]),
            (Verb.CALL, ["first_unmet", [["trial", "h_0", "first", many]]]),
        ):
            running.server.backend.new_project(Project(name=str(header)))
            running.server.backend.new_trial(Trial(_hash=str(header), project_id=str(header)))
            assert "the limit of the server" in str(failure(client.ask(verb, header)))


@pytest.mark.parametrize("kind", ["conditions", "nested"])
def test_the_size_of_a_query_is_limited(clients, kind):
    """Before anything is looked at, with a remedy."""
    query = {"$or": [{"name": str(number)} for number in range(2000)]}
    if kind == "nested":
        query = {"name": "x"}
        for _ in range(45):
            query = {"$and": [query]}
    with pytest.raises(QueryError, match=r"over 1000 conditions, or is nested over 40.*use \$in"):
        clients[0].fetch_trials(query)
    assert clients[0].fetch_trials({"name": {"$in": [str(n) for n in range(20000)]}}) == []


def test_long_searches_change_nothing_about_answers(clients):
    """They happen while nothing is locked, and the first match is the first all the same."""
    store = clients[0]
    for index, name in enumerate(["ab", "ba", "abab", "x"]):
        store.new_trial(Trial(_hash=f"t{index}", name=name, project_id="p"))
    pairs = [("name", {"$regex": "^(ab)+$"}), ("name", {"$not": {"$regex": "^(ab|x)$"}})]
    assert [trial.name for trial in store.fetch_trials(pairs)] == ["abab"]
    found = store.fetch_and_update_trial(pairs, "log_trial_metadata", touched=True)
    assert found.name == "abab"
    query = {"name": {"$regex": "^(ab|x)$"}, "metadata.touched": None}
    for expected in ("ab", "x"):
        assert store.fetch_and_update_trial(query, "log_trial_metadata", touched=1).name == expected
    with pytest.raises(ItemNotFound):
        store.fetch_and_update_trial(query, "log_trial_metadata", touched=1)
    with pytest.raises(QueryError, match="bogus"):
        store.fetch_trials([("name", {"$regex": "^(ab|x)$"}), ("bogus", 1)])
