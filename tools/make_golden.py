"""Write the files in ``tests/golden`` that pin the present formats, and what they must say.

Run it as ``python tools/make_golden.py`` after a deliberate change of a format. Files of released
formats are never written again: raise its ``VERSION`` (in ``track/events/record.py``,
``track/journals/lmdb.py`` or ``track/projections/rows.py``), and this makes the files of
the new one beside them. An LMDB environment is only written when it is missing, because LMDB does
not write the same bytes twice.
"""

from __future__ import annotations

import json
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from msgpack import ExtType

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from track.events.codec import Encoder, decode, fields_of, stream_id  # noqa: E402
from track.events.record import MAGIC, VERSION, frame_group  # noqa: E402
from track.events.types import (  # noqa: E402
    AlertRaised,
    ArgumentsLogged,
    ArtifactLogged,
    ArtifactUsed,
    ChronoFinished,
    ChronoStarted,
    Event,
    GroupCreated,
    GroupMetadataSet,
    Heartbeat,
    MediaLogged,
    MetadataLogged,
    MetricDefined,
    MetricsLogged,
    OutputCaptured,
    ProcessDescribed,
    ProjectCreated,
    Redacted,
    SearchLogged,
    StatusChanged,
    SystemSampled,
    TagsAdded,
    TrialAddedToGroup,
    TrialAddedToProject,
    TrialArchived,
    TrialCreated,
    TrialFinished,
    TrialRedacted,
    TrialRestored,
    TrialStarted,
    Unknown,
)
from track.journals import lmdb as journal_lmdb  # noqa: E402 - of this repository, not another
from track.journals.file import FileJournal  # noqa: E402
from track.journals.journal import Journal  # noqa: E402
from track.journals.lmdb import LMDBJournal  # noqa: E402
from track.journals.memory import MemoryJournal  # noqa: E402
from track.projections import rows  # noqa: E402
from track.projections.history import as_of  # noqa: E402
from track.projections.objects import Objects  # noqa: E402
from track.relay.rows_codec import pack_whole  # noqa: E402

FOLDER = ROOT / "tests" / "golden"

PROJECT = stream_id("project", "digits")
GROUP = stream_id("group", "sweep")
TRIAL, OTHER = stream_id("trial", "0123abcd_0"), stream_id("trial", "4567cdef_0")
PROCESS = stream_id("process", "here 0f1e2d3c 4026531836 4711 123456")
PRODUCERS = (0x0123456789ABCDEF, 0x7FFFFFFFFFFFFFFF)
FIRST_AT = 1_700_000_000_123_456_789
TICK = 1_000_000_007

ODD_VALUES: dict[Any, Any] = {
    "nothing": None,
    "truth": [True, False],
    "integers": [0, -1, 127, 128, -32, -33, 65536, 2**32, 2**63, 2**64 - 1, -(2**63)],
    "big integers": [2**64, -(2**63) - 1, 10**40, -(10**40)],
    "floats": [0.0, -0.0, 0.1, 5e-324, 1.7976931348623157e308],
    "not finite": [float("nan"), float("inf"), float("-inf")],
    "texts": ["", "ünïcode 日本 🎉", "nul \0", "x" * 300],
    "surrogates": ["\ud800", {"\udfff": "caf\udce9"}],
    "bytes": [b"", bytes(range(256))],
    "magic": MAGIC * 2,
    "tuples": [(), (1, (2.0, ("x", None))), ([1], {"a": (b"",)})],
    "dates": [date(1, 1, 1), date(2026, 1, 31)],
    "times": [
        datetime(2026, 1, 31, 23, 59, 59, 999999),  # noqa: DTZ001 - naive times are logged, too
        datetime(2026, 1, 31, tzinfo=timezone.utc),
        datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    ],
    "ids": UUID(int=0x1234567890ABCDEF1234567890ABCDEF),
    "nested": {"a": [{"b": [[], {}, [[None]]]}]},
    7: "an integer as a key",
    -(2**70): "a big one",
    ("a", 1): "a tuple as a key",
    None: "nothing as a key",
    2.5: "a float as a key",
}

WRITES: list[list[tuple[int, Event]]] = [
    [(PROJECT, ProjectCreated("digits", "ten of them", {"_update_count": 0}))],
    [(GROUP, GroupCreated("sweep", "sweep", None, {"budget": 3}, "digits"))],
    [
        (
            TRIAL,
            TrialCreated(
                *("0123abcd", 0, "first", None, {"kind": "demo"}, "f00d", "sweep", "digits"),
                *({"lr": 0.01, "layers": [64, 10]}, {"host": "here"}, {"loss": {0: 2.5}}),
                *({"epoch": 1.25}, ["CreatedNotRunning", 1], []),
            ),
        ),
        (PROJECT, TrialAddedToProject("0123abcd_0")),
        (GROUP, TrialAddedToGroup("0123abcd_0")),
    ],
    [(TRIAL, TrialStarted())],
    [(TRIAL, Heartbeat("here", "0f1e2d3c 4026531836", 4711, 123456))],
    [(TRIAL, StatusChanged("Running", 301, None))],
    [(TRIAL, ArgumentsLogged({"batch_size": 256}))],
    [(TRIAL, ChronoStarted("epoch", ["stat", {"skip_obs": 2}]))],
    *(
        [(TRIAL, MetricsLogged(step, {"loss": 1 / (step + 1), "acc": step / 9}, None))]
        for step in range(9)
    ),
    [(TRIAL, MetricsLogged(None, {"test": 0.5}, ["ring", {"n": 10, "dtype": "float64"}]))],
    [(TRIAL, MetricsLogged((1, 2), {"odd": True, "step": 3}, None))],
    [(TRIAL, ChronoFinished("epoch", 0.25, None))],
    [(TRIAL, ChronoFinished("unseen", None, "KeyboardInterrupt"))],
    [(TRIAL, MetadataLogged(ODD_VALUES, ["value", {}]))],
    [(TRIAL, TagsAdded({"masked": "\u0141TJ".encode("utf-16-be") + MAGIC}))],
    [(GROUP, GroupMetadataSet({"best": "0123abcd_0"}))],
    [(TRIAL, Unknown(99, 3, ["from a later version", {"of": "Track"}]))],
    [(TRIAL, TrialFinished(12.5, "ZeroDivisionError"))],
    [(TRIAL, StatusChanged("Exception", 402, "division by zero"))],
    [(TRIAL, TrialFinished(None, None)), (TRIAL, TagsAdded({}))],
    [(PROCESS, ProcessDescribed("here", "0f1e2d3c 4026531836", 4711, 123456, {"cpus": 2}))],
    [(TRIAL, TrialArchived())],
    [(TRIAL, TrialRestored())],
    [(OTHER, Redacted()), (OTHER, TrialRedacted())],
    [(TRIAL, TrialArchived())],
    [(stream_id("search", "s"), SearchLogged([{"op_code": 0, "worker_id": "w"}]))],
    [
        (
            stream_id("media", "0123abcd_0"),
            MediaLogged(3, {"note": [{"kind": "text", "mime": "text/plain", "data": b"hello"}]}),
        )
    ],
    [
        (
            TRIAL,
            ArtifactLogged(
                stream_id("artifact", "weights"),
                "7f1c0b8fd2c66bd61ce5ac8bc8e2f4be3c0b8e0f2d6f5c1f1f5f2a1a0f6e5d4c",
                "weights",
                {"model.pt": {"size": 4, "sha256": 32 * "9f"}},
            ),
        )
    ],
    [(TRIAL, ArtifactUsed("digits", 32 * "0a"))],
    [(TRIAL, AlertRaised("warning", "the loss is not finite", "at step 7"))],
    [(TRIAL, MetricDefined("val/*", "min", "minimize"))],
    [(stream_id("system", "0123abcd_0"), SystemSampled("here", 4711, 0, {"host.load_1m": 0.5}))],
    [
        (
            stream_id("output", "0123abcd_0"),
            OutputCaptured("here", 4711, None, [[FIRST_AT, 1, "hello\n"], [FIRST_AT, 2, 7]]),
        )
    ],
]
"""Events by the append that writes them: one of every type, of every kind of value."""


def payloads() -> list[list[bytes]]:
    """Return the payloads of each append."""
    encode = Encoder().encode
    numbers, times = count(1), count(FIRST_AT, TICK)
    return [
        [
            encode(
                type(event),
                fields_of(event),
                stream,
                PRODUCERS[index % 2],
                next(numbers),
                next(times),
            )
            for stream, event in events
        ]
        for index, events in enumerate(WRITES)
    ]


def written() -> bytes:
    """Return the journal of a file, byte for byte."""
    return b"".join(map(frame_group, payloads()))


def folded() -> Objects:
    """Return the objects that the events make, in a journal that counts them."""
    journal = MemoryJournal()
    for batch in payloads():
        journal.append(batch)
    return as_of(journal.read_batches())


def packed() -> bytes:
    """Return the rows of the objects, byte for byte."""
    return pack_whole(folded())


def readable(journal: Journal) -> Iterator[dict[str, Any]]:
    """Yield what a journal says, as JSON that any language can compare (``docs/format.md``)."""
    for positions, batch in journal.read_batches():
        for position, payload in zip(positions, batch, strict=True):
            recorded = decode(position, payload)
            event = recorded.event
            known = not isinstance(event, Unknown)
            yield {
                "position": position,
                "tag": payload[1],
                "version": payload[2],
                "stream": str(recorded.stream),
                "producer": f"{recorded.producer:016x}",
                "sequence": recorded.sequence,
                "at": str(recorded.at),
                "event": type(event).__name__ if known else None,
                "body": notation([*fields_of(event)] if known else event.body),
            }


def notation(value: Any) -> Any:
    """Return a value in JSON: what that lacks, as a map of its kind and a text."""
    if isinstance(value, list):
        return [*map(notation, value)]
    if isinstance(value, dict):
        return {"map": [[*map(notation, item)] for item in value.items()]}
    if isinstance(value, ExtType):
        return {"extension": [value.code, value.data.hex()]}
    if isinstance(value, tuple):
        return {"tuple": [*map(notation, value)]}
    if value is None or type(value) is bool or (type(value) is str and is_encodable(value)):
        return value
    kind, write = SCALARS[type(value)]
    return {kind: write(value)}


SCALARS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    int: ("integer", str),
    float: ("float", lambda number: struct.pack(">d", number).hex()),
    str: ("code points", lambda text: [*map(ord, text)]),
    bytes: ("bytes", bytes.hex),
    date: ("date", date.isoformat),
    datetime: ("time", datetime.isoformat),
    UUID: ("uuid", lambda uuid: uuid.hex),
}


def is_encodable(text: str) -> bool:
    """Return whether UTF-8 can hold a string."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def write_lmdb(path: Path) -> None:
    """Write the environment."""
    with tempfile.TemporaryDirectory() as folder:
        journal = LMDBJournal(Path(folder) / "golden", "process")
        for batch in payloads():
            journal.append(batch)
        journal.close()
        shutil.copyfile(journal.path, path)


def main() -> None:
    """Write the files of the present versions."""
    path = FOLDER / f"v{VERSION}.journal"
    path.write_bytes(written())
    journal = FileJournal(path, "process")
    lines = ",\n".join(json.dumps(said, ensure_ascii=False) for said in readable(journal))
    journal.close()
    path.with_suffix(".events.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    (FOLDER / f"v{rows.VERSION}.rows").write_bytes(packed())
    environment = FOLDER / f"v{journal_lmdb.VERSION}.lmdb"
    if not environment.exists():
        write_lmdb(environment)


if __name__ == "__main__":
    main()
