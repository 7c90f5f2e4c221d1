"""Say malformed things to a server of the relay, by the thousand, and see whether it goes on.

A real server in a process of its own, over loopback: what is to be shown is that a process which
listens survives, sockets and threads included. One connection for each input, many at once, because
an input that is refused takes its connection with it. Failed logins are answered at once here, or
nearly all of the time would be spent in waiting for those answers.

    python tools/fuzz_relay.py --inputs 100000 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import msgpack  # noqa: E402 - the package is beside this folder, installed or not

from track.errors import InsecureConnection  # noqa: E402
from track.events import types  # noqa: E402
from track.events.codec import ENVELOPE, Encoder, stream_id  # noqa: E402
from track.events.record import frame  # noqa: E402
from track.events.values import pack_values  # noqa: E402
from track.persistence import get_protocol  # noqa: E402
from track.relay.messages import (  # noqa: E402
    LENGTH,
    MAX_ANSWER,
    Channel,
    Message,
    Verb,
    body_length,
    from_frame,
    to_frame,
)
from track.relay.remote_errors import revive  # noqa: E402
from track.structure import Project, Trial  # noqa: E402
from track.utils.handshake import HELLO, LAYERS, MAGIC, agree, begin  # noqa: E402

PATIENCE_S = 20.0
AT_ONCE = 64

_NAMES = [
    *("fetch_groups", "fetch_projects", "fetch_trials", "first_group", "first_trial", "get_trial"),
    *("knows", "next_revision", "status_of", "first_unmet", "objects", "sync", "commit"),
    *("rows", "look_up", "sample", "chunks", "points"),
    *("__class__", "close", "exec", ""),
]
_ODD: list[Any] = [
    *(None, True, -1, 0, 1, 127, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 2**200, 0.5),
    *(float("nan"), float("inf"), "", "trial", "trial_0", "project", "\0", "x" * 3000, "$and"),
    *("absent", "present", "first", "group", b"", b"\xff" * 40, [], [[]], [[[]]], [1, 2], {}),
    *({"uid": "trial_0"}, {"$and": [{}]}, {"$or": 1}, {"uid": {"$in": [1]}}, {"$x": 1}, {1: 2}),
    *({"uid": {"$regex": "("}}, {"status": {"$gt": None}}, {"metrics.loss": {"$exists": 1}}),
    *((), (1, ("a",)), {(1, 2): 3}, {None: None}, {"a": {"a": {"a": {"a": {}}}}}, "\udc80"),
    *(
        msgpack.ExtType(code, data)
        for code in (1, 2, 3, 4, 5, 16, 17, 99)
        for data in (b"", b"\x90")
    ),
    *(msgpack.ExtType(17, msgpack.packb(["a+", flags])) for flags in (0, 128, -1, 2**40)),
    *(msgpack.ExtType(16, msgpack.packb([name, 3])) for name in ("new", None, [1])),
    datetime(2020, 1, 1, tzinfo=timezone.utc),
]


_ABOUT_A_SERIES = 0.3
"""How many of the calls are."""


class Input(NamedTuple):
    """What to say on one connection."""

    stage: str
    """Up to where it is honest: nothing, a hello, or a login."""
    layer: str | None
    speech: list[tuple[str, bytes]]
    """What is said then, in order: raw bytes, the content of a sound frame, or of a broken one."""


# Making inputs


def make_input(chance: random.Random) -> Input:
    """Return something to say that no honest client says, or nearly."""
    layer = chance.choice([None, "AES"])
    stage = chance.choices(["hello", "login", "request"], [1, 2, 5])[0]
    if stage == "hello":
        return Input(stage, layer, [("raw", _odd_hello(chance, layer))])
    make = _login if stage == "login" else _request
    contents = [make(chance) for _ in range(chance.choice([1, 1, 1, 2, 5]))]
    return Input(stage, layer, [_carried(chance, content) for content in contents])


def _odd_hello(chance: random.Random, layer: str | None) -> bytes:
    hello = bytearray(HELLO.pack(MAGIC, 1, LAYERS[layer], chance.randbytes(32)))
    how = chance.randrange(5)
    if how == 0:
        return chance.randbytes(chance.randrange(200))
    if how == 1:
        return bytes(hello[: chance.randrange(len(hello))])
    if how == 2:  # noqa: PLR2004 - one of five ways
        return bytes(hello) + chance.randbytes(chance.randrange(100))
    return _mutated(chance, bytes(hello))


def _carried(chance: random.Random, content: bytes) -> tuple[str, bytes]:
    """Return how a content is sent: mostly in a sound frame, for what is in it to be read."""
    kind = chance.choices(["sound", "broken", "short", "long", "raw"], [12, 1, 1, 1, 1])[0]
    return kind, content


def _login(chance: random.Random) -> bytes:
    verb = chance.choice([Verb.LOGIN] * 4 + [*Verb])
    header: Any = [chance.choice(["", "ada", *_ODD]), chance.choice([None, "", *_ODD])]
    return _content(chance, verb, _odd_values(chance, header), b"")


def _request(chance: random.Random) -> bytes:
    make: Callable[[random.Random], tuple[Verb, list[Any], bytes]] = chance.choice(
        [_an_append, _a_proposal, _a_last, _a_call, _a_call, _a_subscription, _any_verb]
    )
    verb, header, attachment = make(chance)
    return _content(chance, verb, _odd_values(chance, header), attachment)


def _an_append(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    records = [frame(_odd_payload(chance)) for _ in range(chance.randrange(4))]
    return Verb.APPEND, [], _sometimes_mutated(chance, b"".join(records))


def _a_proposal(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    expected = ["trial", "trial_0", chance.choice(["absent", "present", "first"]), {}]
    header = [[expected] * chance.randrange(3), chance.choice([None, "trial"]), "trial_0"]
    return Verb.PROPOSE, header, _odd_payload(chance)


def _a_last(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    return Verb.LAST, [chance.choice([None, 1, chance.getrandbits(70)])], b""


def _a_call(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    arguments = [chance.choice(_ODD) for _ in range(chance.choice([0, 1, 1, 2]))]
    if chance.random() < _ABOUT_A_SERIES:
        series = _odd_values(chance, ["trial_0", "loss", chance.randrange(9), 1, 0.5])
        bounds = [chance.choice([0, 1, 2, 9, 2**16, 2**40, *_ODD]) for _ in range(3)]
        name, count = chance.choice([("sample", 3), ("chunks", 1), ("points", 2)])
        return Verb.CALL, [name, series, *bounds[:count]], b""
    return Verb.CALL, [chance.choice(_NAMES), *arguments], b""


def _a_subscription(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    return Verb.SUBSCRIBE, [chance.choice([0, 1, chance.getrandbits(20)]), chance.choice(_ODD)], b""


def _any_verb(chance: random.Random) -> tuple[Verb, list[Any], bytes]:
    return chance.choice([*Verb]), [chance.choice(_ODD)], chance.randbytes(chance.randrange(50))


_EVENTS = [kind for kind in vars(types).values() if hasattr(kind, "_fields")]


def _odd_payload(chance: random.Random) -> bytes:
    """Return an event whose fields may be anything, or hardly one."""
    kind = chance.choice(_EVENTS)
    if not kind._fields or kind.__name__ in ("Recorded", "Unknown", "Kind"):
        kind = types.MetricsLogged
    fields = [chance.choice(["trial", 0, {}, {"loss": 0.5}, None, *_ODD]) for _ in kind._fields]
    where = chance.choice(["trial:trial_0", "project:project", "trial:x", "group:g"]).split(":")
    stream = stream_id(where[0], where[1])
    sequence = chance.choice([0, 1, 2, 3, 2**32 - 1])
    payload = Encoder().encode(
        types.TagsAdded, [{}], stream, chance.getrandbits(chance.choice([8, 63, 64])), sequence, 1
    )
    with suppress(KeyError):
        tag = types.CATALOGUE[kind]
        payload = bytes([payload[0], tag.tag, tag.version]) + payload[3 : ENVELOPE.size]
        with suppress(Exception):
            payload += pack_values(fields, ())
    return _sometimes_mutated(chance, payload)


def _odd_values(chance: random.Random, values: list[Any]) -> list[Any]:
    """Return values some of which may have become odd, at any depth."""
    values = [_odd_values(chance, value) if isinstance(value, list) else value for value in values]
    if chance.random() < 0.3:  # noqa: PLR2004 - sometimes
        values.insert(chance.randint(0, len(values)), chance.choice(_ODD))
    if values and chance.random() < 0.3:  # noqa: PLR2004 - sometimes
        values[chance.randrange(len(values))] = chance.choice(_ODD)
    if values and chance.random() < 0.1:  # noqa: PLR2004 - seldom
        del values[chance.randrange(len(values))]
    return values


def _content(chance: random.Random, verb: int, header: list[Any], attachment: bytes) -> bytes:
    packed = _sometimes_mutated(chance, pack_values(header, ()))
    size = chance.choices([len(packed), chance.getrandbits(32), len(packed) + 1], [30, 1, 1])[0]
    verb = chance.choices([verb, chance.randrange(256)], [20, 1])[0]
    return _sometimes_mutated(chance, bytes([verb]) + LENGTH.pack(size) + packed + attachment)


def _sometimes_mutated(chance: random.Random, data: bytes) -> bytes:
    return _mutated(chance, data) if chance.random() < 0.15 else data  # noqa: PLR2004 - sometimes


def _mutated(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randint(0, len(changed))
        how = chance.randrange(5)
        if how == 0:
            changed[at:at] = chance.randbytes(chance.choice([1, 4, 100]))
        elif how == 1:
            del changed[at : at + chance.choice([1, 4, 100])]
        elif how == 2:  # noqa: PLR2004 - one of five ways
            changed[at : at + 1] = bytes([chance.choice([0, 1, 0x7F, 0x80, 0xC1, 0xDD, 0xFF])])
        elif how == 3:  # noqa: PLR2004 - one of five ways
            changed += changed[at:]
        elif changed:
            changed[at % len(changed)] ^= 1 << chance.randrange(8)
    return bytes(changed[: 2**20])


# Saying them


class Fuzzer:
    """Says inputs to a server, and counts what it answers.

    Parameters
    ----------
    ports
        where servers listen, by their security layer
    """

    def __init__(self, ports: dict[str | None, int]) -> None:
        self._ports = ports
        self.answers: Counter[str] = Counter()

    def say_all(self, inputs: Iterable[Input]) -> None:
        """Say some inputs, many at once.

        Raises
        ------
        Exception
            the server does not answer in time, or says what is no message
        """
        asyncio.run(self._say_all(inputs))

    async def _say_all(self, inputs: Iterable[Input]) -> None:
        at_once = asyncio.Semaphore(AT_ONCE)

        async def say(item: Input) -> None:
            async with at_once:
                try:
                    await asyncio.wait_for(self._say(item), PATIENCE_S)
                except Exception:
                    sys.stderr.write(f"this was said: {item}\n")
                    raise

        await asyncio.gather(*map(say, inputs))

    async def _say(self, item: Input) -> None:
        port = self._ports[item.layer]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        try:
            await self._say_on(item, reader, writer)
        except InsecureConnection:  # what it says makes no sense
            raise
        except (OSError, EOFError):
            self.answers["hung up"] += 1
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _say_on(
        self, item: Input, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        channel: Channel | None = None
        if item.stage != "hello":
            opening = begin(item.layer)
            writer.write(opening.hello)
            channel = agree(opening, await reader.readexactly(HELLO.size), is_server=False).channel
            await _receive(reader, channel)
        if channel is not None and item.stage == "request":
            writer.write(to_frame(Message(Verb.LOGIN, ["", None]), channel))
            if (await _receive(reader, channel)).verb != Verb.VERIFIED:
                raise InsecureConnection("an honest login was refused")
        for kind, content in item.speech:
            writer.write(_as_sent(kind, content, channel))
        writer.write_eof()
        if channel is None:
            await reader.read()
            return
        while True:
            answer = await _receive(reader, channel)
            kind = answer.verb.name
            if answer.verb == Verb.FAILED:
                kind = type(revive(answer.header)).__name__
            self.answers[kind] += 1


async def _receive(reader: asyncio.StreamReader, channel: Channel) -> Message:
    head = await reader.readexactly(LENGTH.size)
    return from_frame(await reader.readexactly(body_length(head, MAX_ANSWER)), channel)


def _as_sent(kind: str, content: bytes, channel: Channel | None) -> bytes:
    if kind == "raw" or channel is None:
        return content
    sealed = channel.seal(content)
    if kind == "broken":
        sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    length = {"short": len(sealed) // 2, "long": len(sealed) + 1}.get(kind, len(sealed))
    return LENGTH.pack(length) + sealed


# Servers


class Served:
    """A server in a process of its own.

    Parameters
    ----------
    folder
        where its store is
    layer
        its security layer
    """

    def __init__(self, folder: Path, layer: str | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        name = layer or "none"
        backend = f"file:{folder / 'store.json'}"
        uri = f"socket://127.0.0.1:0?security_layer={name}&backend={backend}"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--serve", uri], stdout=subprocess.PIPE, stderr=log
            )
        if self.process.stdout is None:
            raise RuntimeError("a pipe was asked for")
        self.port = int(self.process.stdout.readline())
        self.uri = (
            f"socket://127.0.0.1:{self.port}?security_layer={name}"
            f"&spool={folder / 'spool'}&timeout={PATIENCE_S}"
        )
        self._store = get_protocol(self.uri)
        self._store.new_project(Project(name="project"))
        self._store.new_trial(Trial(_hash="trial", project_id="project"))
        self._honest = Trial(_hash="honest", project_id="project")
        self._store.new_trial(self._honest)
        self._steps = 0

    def check(self) -> None:
        """Be an honest client for a moment.

        Raises
        ------
        Exception
            it is not served as it should be
        """
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with {self.process.returncode}")
        self._store.log_trial_metrics(self._honest, step=self._steps, fuzz=self._steps)
        self._steps += 1
        (found,) = self._store.fetch_trials({"uid": self._honest.uid})
        if list(found.metrics["fuzz"].values()) != list(range(self._steps)):
            raise RuntimeError("an honest client lost something")

    def check_all(self) -> None:
        """Read everything there is, and write the report.

        Raises
        ------
        Exception
            that is not possible any more
        """
        self.check()
        if "project" not in {project.name for project in self._store.fetch_projects()}:
            raise RuntimeError("the project is gone")
        self._store.commit()
        sum(1 for _ in self._store.events())

    def memory(self) -> int:
        """Return how many bytes of memory it takes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def stop(self) -> int:
        """End it, and return its exit code."""
        with suppress(Exception):
            self._store.close()
        self.process.terminate()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.wait(PATIENCE_S)


def serve(uri: str) -> None:
    """Be a server that answers failed logins at once, and print its port."""
    import logging
    import threading

    from track.relay import asyncio_server as relay
    from track.relay.server import SocketServer

    logging.basicConfig(level=logging.WARNING)
    relay._PENALTY_S = 0.0  # noqa: SLF001 - a fuzzer has no time to lose
    server = SocketServer(uri)

    def announce() -> None:
        server.ready.wait()
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()

    threading.Thread(target=announce, daemon=True).start()
    server.run_server()


def main() -> int:
    """Say as many inputs as asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), arguments.inputs, arguments.seed)


def run(folder: Path, count: int, seed: int) -> int:
    """Say inputs, and print what became of the servers."""
    servers = {layer: Served(folder / (layer or "none"), layer) for layer in (None, "AES")}
    fuzzer = Fuzzer({layer: server.port for layer, server in servers.items()})
    chance = random.Random(seed)  # noqa: S311 - no secret depends on it
    print(f"seed {seed}")
    began, said = time.monotonic(), 0
    before = {layer: server.memory() for layer, server in servers.items()}
    while said < count:
        batch = [make_input(chance) for _ in range(min(500, count - said))]
        fuzzer.say_all(batch)
        said += len(batch)
        for server in servers.values():
            server.check()
        if said % 10_000 == 0:
            sizes = [f"{server.memory() / 2**20:.0f}" for server in servers.values()]
            print(f"{said} inputs, {time.monotonic() - began:.0f} s, MiB: {' '.join(sizes)}")
            for server in servers.values():
                server.check_all()
    for layer, server in servers.items():
        server.check_all()
        sizes = f"{before[layer] / 2**20:.0f} MiB before, {server.memory() / 2**20:.0f} MiB after"
        code = server.stop()
        log = server.log.read_text(encoding="utf-8", errors="replace")
        print(f"security_layer={layer or 'none'}: {sizes}, exit code {code}")
        print(f"  {log.count('Traceback')} tracebacks, {log.count('WARNING')} warnings in its log")
        errors = [line for line in log.splitlines() if line.startswith(("ERROR", "CRITICAL"))]
        for line, number in Counter(line.split(":", 2)[-1][-80:] for line in errors).most_common(9):
            print(f"  {number} x {line}")
    print(
        f"{said} inputs in {time.monotonic() - began:.0f} s: {dict(fuzzer.answers.most_common())}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
