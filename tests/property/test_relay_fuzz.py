"""Check that a server survives any input, still serves normal clients, and stays small."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.fuzz_inputs import make_input
from tools.fuzz_relay import Fuzzer, Served

BATCH = 40

LAYERS = {"none": None, "AES": "AES"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Give a server of each layer, which no input of this module may crash."""
    folder = tmp_path_factory.mktemp("fuzzed")
    started = {layer: Served(folder / name, layer) for name, layer in LAYERS.items()}
    yield started
    assert [server.stop() for server in started.values()] == [0, 0]


@settings(max_examples=75)
@given(st.integers(0, 2**64))
def test_nothing_that_is_said_ends_or_confuses_a_server(servers, seed):
    """3,000 inputs: hellos, logins, requests; malformed, mutated, cut short, glued together.

    After each 40 an honest client finds all that it logged. A seed can be said again, and many
    more, with ``tools/fuzz_relay.py``.
    """
    chance = random.Random(seed)
    fuzzer = Fuzzer({layer: server.port for layer, server in servers.items()})
    fuzzer.say_all(make_input(chance) for _ in range(BATCH))
    for server in servers.values():
        server.check()


def test_what_was_said_left_a_store_that_is_read_and_written(servers):
    """Objects, report and events can be read with all appended events; the log has only text."""
    for server in servers.values():
        before = server.memory()
        chance = random.Random(1)
        fuzzer = Fuzzer({layer: server.port for layer, server in servers.items()})
        for _ in range(3):
            fuzzer.say_all(make_input(chance) for _ in range(100))
            server.check_all()
        assert server.memory() - before < 2**26
        assert "Traceback" not in server.log.read_text(errors="replace")


def test_inputs_are_of_every_kind():
    """A fuzzer that never logs in would not test the requests."""
    chance = random.Random(2)
    inputs = [make_input(chance) for _ in range(500)]
    assert {item.stage for item in inputs} == {"hello", "login", "request"}
    assert {item.layer for item in inputs} == {None, "AES"}
    kinds = {kind for item in inputs for kind, _ in item.speech}
    assert kinds == {"raw", "sound", "broken", "short", "long"}
    sound = [content[:1] for item in inputs for kind, content in item.speech if kind == "sound"]
    assert {16, 17, 18, 19, 20, 21} <= {*b"".join(sound)}
