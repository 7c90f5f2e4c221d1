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
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


from tools.fuzz_inputs import Input, make_input  # noqa: E402 - as above
from track.errors import InsecureConnection  # noqa: E402
from track.persistence import get_protocol  # noqa: E402
from track.relay.header_codec import revive  # noqa: E402
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
from track.structure import Project, Trial  # noqa: E402
from track.utils.handshake import HELLO, agree, begin  # noqa: E402

PATIENCE_S = 20.0
AT_ONCE = 64

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
