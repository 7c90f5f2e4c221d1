"""Challenges: which of them a client answers, and which it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from track.errors import AuthenticationError
from track.relay import users as accounts
from track.relay.scram import Challenge, ClientLogin

HERE = b"h" * 32
"""The transcript of a connection."""


REFUSED = {
    "nil": None,
    "text": "salt",
    "a map": {"salt": bytes(16)},
    "nothing": [],
    "more": [bytes(16), 2**15, 8, 1, 1],
    "a fraction": [bytes(16), 2.0**15, 8, 1],
    "a number of truth": [bytes(16), 2**15, 8, True],
    "another type": ["salt", 2**15, 8, 1],
    "a number that is none": [bytes(16), True, 8, 1],
    "too cheap": [bytes(16), 2, 8, 1],
    "too small blocks": [bytes(16), 2**15, 1, 1],
    "too expensive": [bytes(16), 2**30, 8, 1],
    "too large blocks": [bytes(16), 2**15, 2**20, 1],
    "too often": [bytes(16), 2**15, 8, 1000],
    "no power of two": [bytes(16), 2**15 + 1, 8, 1],
    "negative": [bytes(16), -(2**15), 8, 1],
    "too little salt": [b"", 2**15, 8, 1],
    "too much salt": [bytes(1000), 2**15, 8, 1],
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_a_challenge_that_no_honest_server_sends_is_refused(value):
    """Before anything is computed from it."""
    with pytest.raises(AuthenticationError, match=r"challenge|cost"):
        Challenge.read(value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.binary(), st.lists))
def test_whatever_came_off_a_connection_is_read_or_refused(value):
    """Nothing else is raised, and what is read is what a server may send."""
    try:
        challenge = Challenge.read(value)
    except AuthenticationError:
        return
    assert [*challenge] == value


@pytest.mark.parametrize(
    "challenge", [(bytes(16), 2, 8, 1), (bytes(16), 2**30, 8, 1), (b"", 2**15, 8, 1)]
)
def test_no_proof_is_made_at_an_unacceptable_cost(challenge, runs):
    """This holds for a challenge that was not read, too, and ends an earlier login."""
    client = ClientLogin("ada", "secret")
    client.prove(Challenge(bytes(16), 2**14, 8, 1), HERE)
    signature = client._signature
    runs.clear()
    with pytest.raises(AuthenticationError, match="cost"):
        client.prove(Challenge(*challenge), HERE)
    assert runs == []
    with pytest.raises(AuthenticationError, match="did not prove"):
        client.check(signature)


def test_todays_cost_is_accepted():
    """Half of it is the least cost that clients accept."""
    assert Challenge.read([bytes(16), 2**15, 8, 1]).n == 2**15
    assert Challenge.read([bytes(64), *accounts.MOST_COST]).n == 2**18
    with pytest.raises(AuthenticationError, match="cost"):
        Challenge.read([bytes(16), 2**13, 8, 1])
