"""Decoding by columns gives what decoding one by one gives, or nothing."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.strategies import floats, loggable, payloads, same, streams, texts
from track.events.codec import Encoder, decode
from track.events.columns import decode_columns
from track.events.types import ChronoFinished, MetricsLogged

BOUNDARIES = [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, -1, -32, -33, None]

steps = st.sampled_from(BOUNDARIES) | st.integers(0, 2**64 - 1) | st.integers(-200, 400)
metric_names = st.one_of(texts, st.sampled_from(["loss", "acc", "a" * 31, "a" * 32, "é" * 16]))


def encode(step, metrics, stream=1, at=0, *, aggregator=None):
    return Encoder().encode(MetricsLogged, [step, metrics, aggregator], stream, 9, 3, at)


def by_columns(payloads):
    """Return what the columns say, event by event, or None."""
    columns = decode_columns(payloads)
    if columns is None:
        return None
    rows = zip(*columns.metrics.values(), strict=True)
    each = zip(columns.streams, columns.times, columns.steps, rows, strict=True)
    return [
        (stream, at, MetricsLogged(step, dict(zip(columns.metrics, row, strict=True)), None))
        for stream, at, step, row in each
    ]


def one_by_one(payloads):
    recorded = [decode(0, payload) for payload in payloads]
    return [(item.stream, item.at, item.event) for item in recorded]


def agree(payloads):
    """Tell whether the two ways agree, where the fast one answers at all."""
    found = by_columns(payloads)
    return found is None or same(
        [(stream, at, tuple(event)) for stream, at, event in found],
        [(stream, at, tuple(event)) for stream, at, event in one_by_one(payloads)],
    )


@st.composite
def runs(draw):
    """Draw events with the same metrics, from several streams."""
    names = draw(st.lists(metric_names, min_size=1, max_size=4, unique=True))
    step_of = draw(st.sampled_from([steps, st.integers(0, 127), st.integers(256, 65535)]))
    value_of = draw(st.sampled_from([floats, floats | st.integers(-5, 300)]))
    count = draw(st.integers(1, 20))
    return [
        encode(draw(step_of), {name: draw(value_of) for name in names}, draw(streams), at)
        for at in range(count)
    ]


def of_one_length(payloads):
    """Keep those as long as the first, which is what the caller of the fast way does."""
    return [payload for payload in payloads if len(payload) == len(payloads[0])]


@given(runs())
def test_a_run_of_metrics_reads_the_same_both_ways(run):
    """Names, steps, numbers and streams drawn at random, the two ways agree to the last bit."""
    assert agree(of_one_length(run))


@given(st.lists(runs(), min_size=1, max_size=3), st.randoms())
def test_mixed_shapes_read_the_same_both_ways(several, random):
    """Where shapes differ the fast way says nothing, or the truth, of equal lengths or not."""
    mixed = [payload for run in several for payload in run]
    random.shuffle(mixed)
    assert agree(mixed)
    assert agree(of_one_length(mixed))


@pytest.mark.parametrize("low", BOUNDARIES)
@pytest.mark.parametrize("high", BOUNDARIES)
def test_a_step_that_changes_its_width_is_noticed(low, high):
    """Steps of different widths in one run never shift the numbers behind them."""
    run = [encode(step, {"x": 0.5}) for step in [low] * 6 + [high] * 6]
    assert agree(run)
    same_width = run[:6] + run[:6]
    assert agree(same_width)
    fast = isinstance(low, int) and low >= 0
    assert (decode_columns(same_width) is not None) is fast


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), loggable), min_size=8, max_size=9))
@example([(0, 1.0)] * 8)
def test_values_of_any_type_read_the_same_both_ways(values):
    """Only numbers have columns; events with anything else are left to the other way."""
    assert agree([encode(5, {"x": value}, stream) for stream, value in values])


def test_the_same_shape_is_read_at_once():
    """The case that all this is for: a training loop's events do have columns."""
    run = [encode(step, {"loss": step / 3, "acc": -step}, step % 3, step) for step in range(100)]
    assert decode_columns(run) is None, "a negative integer among the metrics has no column"
    run = [encode(step, {"loss": step / 3, "acc": 0.5}, step % 3, 9**9) for step in range(100)]
    columns = decode_columns(run)
    assert list(columns.streams) == [step % 3 for step in range(100)]
    assert list(columns.times) == [9**9] * 100
    assert list(columns.steps) == list(range(100))
    metrics = {name: list(values) for name, values in columns.metrics.items()}
    assert metrics == {"loss": [step / 3 for step in range(100)], "acc": [0.5] * 100}


@pytest.mark.parametrize("low", [0, 127, 128, 256, 65535, 2**16, 2**32, 2**63 - 1, 2**63])
def test_integers_have_columns_of_their_own(low):
    """They are read at once as well, and stay integers."""
    run = [encode(step, {"epoch": low, "loss": step / 7}) for step in range(16)]
    assert agree(run)
    values = decode_columns(run).metrics["epoch"]
    assert values.typecode in "qQ"
    assert [*values] == [low] * 16


@pytest.mark.parametrize("position", [0, 7, 8, 15])
@pytest.mark.parametrize(
    "stranger",
    [
        encode(1, {"y": 0.5}),
        encode(1, {"x": True}),
        encode(1, {"x": 0.5}, aggregator=["v", {}]),
        Encoder().encode(ChronoFinished, ["x" * 4, 0.5, None], 1, 2, 3, 4),
        b"x" * len(encode(1, {"x": 0.5})),
    ],
    ids=["name", "value", "aggregator", "event", "garbage"],
)
def test_one_stranger_in_a_run_is_noticed(position, stranger):
    """A single event of another shape, wherever it is, leaves the run to the other way."""
    run = [encode(1, {"x": 0.5})] * 16
    run[position] = stranger
    assert decode_columns(run) is None


def test_too_few_have_no_columns():
    """No payloads, or a few, are not worth the effort and are left to the other way."""
    assert decode_columns([]) is None
    assert decode_columns([encode(1, {"x": 0.5})] * 3) is None


@given(payloads, st.integers(8, 10))
def test_garbage_has_no_columns(payload, count):
    """Intact records may hold anything, which never raises here."""
    assert decode_columns([payload] * count) is None


RUN = encode(300, {"loss": 0.5, "é": 1.5})


@pytest.mark.parametrize("size", range(len(RUN)))
def test_metrics_cut_anywhere_read_the_same_both_ways(size):
    """A payload that stops in the middle, which only another program would write, never raises."""
    assert agree([RUN[:size]] * 8)


@pytest.mark.parametrize("mask", [0x01, 0x10, 0x80, 0xFF])
def test_metrics_with_any_byte_changed_read_the_same_both_ways(mask):
    """Wherever a payload differs from what Track writes, names included, the two ways agree."""
    disagreeing = []
    for offset in range(len(RUN)):
        changed = bytearray(RUN)
        changed[offset] ^= mask
        try:
            agreed = agree([bytes(changed)] * 8)
        except Exception as error:
            agreed = False
            print(offset, repr(error))
        if not agreed:
            disagreeing.append(offset)
    assert disagreeing == []


def test_the_bits_of_a_number_survive():
    """A NaN with a payload of its own is the same NaN afterwards."""
    (odd,) = struct.unpack(">d", bytes.fromhex("7ff8dead00beef01"))
    [values] = decode_columns([encode(1, {"x": odd})] * 8).metrics.values()
    assert {struct.pack(">d", value).hex() for value in values} == {"7ff8dead00beef01"}
