"""Read the repositories of Aim, with the help of its package."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from math import isnan
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from track.errors import ImportFailed
from track.events.types import AlertRaised, Event, MetricsLogged, OutputCaptured, SystemSampled
from track.exchange.optional import load
from track.exchange.source_run import (
    MS,
    Entry,
    Log,
    MediaFound,
    Source,
    SourceRun,
    dict_or_empty,
    is_inside,
    parse_seconds,
    parse_time,
)
from track.exchange.sources.finding import folders_below, open_database, read_each
from track.media import Audio, Figure, Histogram, Image, Medium, Text
from track.provenance.masking import hide_in_text, hide_secrets
from track.structure import Status

NAMES = "run_metadata.sqlite"
"""The database of a repository, with the names of its runs."""

_RUNS = "meta/chunks"
"""The folder of a repository with a folder for each run."""

_SYSTEM, _SYSTEM_PARAMETERS = "__system__", "__system_params"
_OUTPUT, _SUBSET, _EPOCH = "logs", "subset", "epoch"
_NUMBERS = ("float", "float64", "int")
_LINE, _RECORD = "aim.log_line", "aim.log_record"
_QUERY = """
    SELECT run.hash, run.id, run.name, run.description, run.is_archived, run.created_at,
           run.finalized_at, experiment.name
    FROM run LEFT JOIN experiment ON experiment.id = run.experiment_id
"""
_TAGS = "SELECT name FROM tag JOIN run_tag ON tag.id = tag_id WHERE run_id = ?"
_NOTES = "SELECT content FROM note WHERE run_id = ? ORDER BY id"


def read_aim(path: str, project: str) -> Iterator[Source]:
    """Yield the runs of a repository, of all repositories below a folder, or a single run.

    A project is named after the experiment. The context of a metric is in its name: ``loss`` of the
    subset ``val`` is ``val/loss``, that of other contexts ``fold=1/loss``. Aim does not record how
    a run ended, so the status is ``FinishedGroup``. The repository is not changed.

    Raises
    ------
    ImportFailed
        the path has no repository
    MissingPackage
        the package of Aim is not installed
    """
    # The package is needed even for local files: nothing else reads its RocksDB.
    container = load("aim", "aim") and load("aim.storage.rockscontainer", "aim").RocksContainer
    described = cache(_described)

    def read(folder: str) -> list[SourceRun]:
        repository, uid = _above(folder), os.path.basename(folder)
        return [_Run(repository, uid, container, described(repository)).read(project)]

    runs = _runs(os.path.abspath(path))
    otherwise = f"no runs of Aim in {path}: give the folder that has .aim"
    return read_each(runs, read, otherwise, Exception)  # the package raises whatever it met


def is_aim(folder: str, names: Iterable[str]) -> bool:
    """Return whether a folder, with these files, is a repository or belongs to a run in one."""
    return NAMES in names or os.path.isfile(os.path.join(_above(folder), NAMES))


def _above(folder: str) -> str:
    """Return the repository of the folder of a run."""
    return os.path.abspath(os.path.join(folder, *[os.pardir] * 3))


def _runs(path: str) -> Iterator[str]:
    """Yield the folder of each run."""
    if os.path.isfile(os.path.join(_above(path), NAMES)):
        yield path
        return
    for repository in folders_below(path, lambda _, names: NAMES in names):
        runs = os.path.join(repository, _RUNS)
        for uid in sorted(os.listdir(runs)) if os.path.isdir(runs) else ():
            yield os.path.join(runs, uid)


class _Described(NamedTuple):
    """Holds the description of a run in the database of its repository."""

    tags: list[str]
    notes: list[str]
    name: str | None
    description: str | None
    is_archived: int | None
    created_at: str | None
    finalized_at: str | None
    experiment: str | None


def _described(repository: str) -> dict[str, _Described]:
    """Return the description of each run by its hash; empty if the database cannot be read."""
    from sqlite3 import Error  # imported late, since few programs need it

    try:
        with open_database(os.path.join(repository, NAMES)) as database:

            def texts(query: str, run: int) -> list[str]:
                return [str(text) for (text,) in database.execute(query, [run])]

            return {
                uid: _Described(texts(_TAGS, number), texts(_NOTES, number), *said)
                for uid, number, *said in database.execute(_QUERY).fetchall()
            }
    except Error:
        return {}  # each run then reports that it has no description


class _Row(NamedTuple):
    """A row of a sequence, at a position of its log."""

    place: int
    at_ns: int
    step: Any
    epoch: Any
    value: Any


class _Run:
    """Reads one run.

    Parameters
    ----------
    repository
        the folder ``.aim``
    uid
        the hash of the run
    container
        the class that opens a RocksDB
    described
        the descriptions of all runs by their hashes
    """

    def __init__(
        self,
        repository: str,
        uid: str,
        container: Callable[..., Any],
        described: dict[str, _Described],
    ) -> None:
        self._root = os.path.dirname(repository)
        self._uid, self._said = uid, described.get(uid)
        self._folder, self._container = repository, container
        self._tree = self._open("meta").subtree(("meta", "chunks", uid))
        self._series: Any = None
        self._taken: set[str] = set()

    def read(self, project: str) -> SourceRun:
        """Return the run; its values are read while they are recorded."""
        said = self._said
        attributes = self._part("attrs")
        system = attributes.pop(_SYSTEM_PARAMETERS, None)
        run = self._run = SourceRun(
            key=f"aim:{self._uid}", project=project, name=self._uid, parameters=_plain(attributes)
        )
        if said is None:
            run.miss(f"{NAMES} does not describe the run: its name, tags and start are unknown")
        else:
            run.name, run.description = said.name or self._uid, said.description or None
            run.project = said.experiment or project
            run.tags = dict.fromkeys(said.tags)
            run.started_ns = parse_time(said.created_at)
            run.is_archived = bool(said.is_archived)
            if said.notes:
                run.metadata["notes"] = said.notes
        end = self._tree.get("end_time", None)
        run.ended_ns = parse_seconds(end) or parse_time(said and said.finalized_at)
        if run.ended_ns is None:
            run.miss("its end was not recorded: it is still running, or its process was killed")
            run.status = Status.Running
        self._describe_system(dict_or_empty(system))
        self._add_artifacts()
        self._add_logs()
        return run

    def _open(self, kind: str) -> Any:
        path = os.path.join(self._folder, kind, "chunks", self._uid)
        # The optimization would write into the repository.
        return self._container(path, read_only=True, skip_read_optimization=True).tree()

    def _part(self, name: str) -> dict[Any, Any]:
        return dict_or_empty(self._tree.get(name, {}))

    def _describe_system(self, said: dict[str, Any]) -> None:
        """Keep command, commit and packages; environment variables are left out."""
        run, git = self._run, said.get("git_info")
        arguments = said.get("arguments")
        if isinstance(arguments, (list, tuple)):
            run.metadata["command"] = hide_secrets([*map(str, arguments)])
        if isinstance(git, dict) and isinstance(commit := git.get("commit"), dict):
            run.version = commit.get("hash")
            run.metadata["git"] = {
                name: hide_in_text(str(git[name]))
                for name in ("branch", "remote_origin_url")
                if git.get(name)
            }
        for name in ("executable", "packages"):
            if said.get(name):
                run.metadata[name] = _plain(said[name])

    def _add_artifacts(self) -> None:
        for name, artifact in self._part("artifacts").items():
            uri = urlsplit(str(artifact.uri))
            path = unquote(uri.path)
            if uri.scheme not in {"", "file"} or not is_inside(path, self._root):
                self._run.miss(f"the artifact {name} is not below {self._root}: {artifact.uri}")
            elif not os.path.isfile(path):
                self._run.miss(f"the artifact {name} does not exist: {artifact.uri}")
            else:
                self._run.files[str(name)] = path

    # Logged values

    def _add_logs(self) -> None:
        contexts = self._part("contexts")
        traces = self._part("traces")
        if not traces:
            return
        self._series = self._open("seqs").subtree("seqs")
        for context, sequences in sorted(traces.items(), key=lambda one: str(contexts.get(one[0]))):
            for name, facts in sorted(sequences.items()):
                kind, version = str(facts.get("dtype", "float")), facts.get("version", 1)
                rows = self._rows((context, name), version, name)
                given = self._name_of(name, dict_or_empty(contexts.get(context)))
                log = f"{context}/{name}"
                self._run.logs.append(Log(log, self._entries(given, kind, rows)))

    def _name_of(self, name: str, context: dict[Any, Any]) -> str:
        """Return the name of a sequence with its context, another one if that is taken."""
        whole = "/".join([*(f"{key}={context[key]}" for key in sorted(context, key=str)), name])
        parts = (f"{key}={context[key]}" for key in sorted(context, key=str) if key != _SUBSET)
        subset = [str(context[_SUBSET])] if _SUBSET in context else []
        short = "/".join([*parts, *subset, name])
        given = whole if short in self._taken else short
        self._taken.add(given)
        return given

    def _rows(self, where: tuple[Any, str], version: int, name: str) -> Iterator[_Row]:
        """Yield the rows of a sequence by their times.

        Positions are milliseconds since the start, so that a value that replaces another one comes
        after it.
        """
        chunks = ("chunks", self._uid) if version == 1 else (f"v{version}", "chunks", self._uid)
        tree = self._series.subtree(chunks).subtree(where)
        values: Any = None
        with self._run.leave_out(repr(name), Exception):
            times, epochs = dict(tree.array("time").items()), dict(tree.array("epoch").items())
            steps = dict.fromkeys(times) if version == 1 else dict(tree.array("step").items())
            # Media are read one by one.
            values = tree.array("val") if version == 1 else dict(tree.array("val").items())
        if values is None:
            return
        order = sorted((parse_seconds(at), key) for key, at in times.items() if key in steps)
        start = self._run.started_ns or (order[0][0] if order else 0)
        place = 0
        for at_ns, key in order:
            place = max(place + 1, (at_ns - start) // MS)
            step = key if version == 1 else steps[key]
            with self._run.leave_out(f"a value of {name!r}", Exception):
                yield _Row(place, at_ns, step, epochs.get(key), values[key])

    def _entries(self, name: str, kind: str, rows: Iterable[_Row]) -> Iterator[Entry]:
        last = None
        for row in rows:
            if last is not None:
                yield last
            event = self._event(name, kind, row)
            last = None if event is None else Entry(row.place, row.at_ns, event)
        if last is None:
            return
        if kind == _LINE and self._run.ended_ns is None and isinstance(last.event, OutputCaptured):
            # The last line may be unfinished: without a newline, the next one replaces it.
            ((at, source, text),) = last.event.lines
            lines = [[at, source, text.removesuffix("\n")]]
            last = last._replace(event=last.event._replace(lines=lines))
        yield last

    def _event(self, name: str, kind: str, row: _Row) -> Event | MediaFound | None:
        value = row.value
        if kind in _NUMBERS:
            before, system, after = name.rpartition(_SYSTEM)
            if system:
                return SystemSampled("", 0, None, {before + after: float(value)})
            epoch_of = f"{name.rpartition('/')[0]}/{_EPOCH}".lstrip("/")
            is_told = not _is_none(row.epoch) and epoch_of not in self._taken
            return MetricsLogged(
                row.step, {name: value, **({epoch_of: row.epoch} if is_told else {})}, None
            )
        with self._run.leave_out(f"a value of {name!r}"):
            if kind == _LINE:
                return OutputCaptured("", 0, None, [[row.at_ns, 0, f"{value.data}\n"]])
            if kind == _RECORD:
                return AlertRaised(_level(value.level), str(value.message), "")
            several = value if isinstance(value, (list, tuple)) else [value]
            return MediaFound(row.step, {name: [self._medium(one) for one in several]})
        return None

    def _medium(self, value: Any) -> Medium:
        kind = getattr(value, "AIM_NAME", type(value).__name__)
        if kind not in _MEDIA:
            raise ImportFailed(f"values of the type {kind} cannot be imported as media")
        return _MEDIA[kind](value)


def _text(value: Any) -> str:
    data = value.data
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)


_MEDIA: dict[str, Callable[[Any], Medium]] = {
    "aim.image": lambda one: Image(bytes(one.storage["data"]), one.caption or None),
    "aim.audio": lambda one: Audio(
        one.get().getvalue(), caption=one.storage.get("caption", None) or None
    ),
    "aim.distribution": lambda one: Histogram.counted(one.ranges.tolist(), one.weights.tolist()),
    "aim.figure": lambda one: Figure.from_json(_text(one)),
    "aim.text": lambda one: Text(_text(one)),
}
"""Functions that convert Aim's objects to media, by the names of their types."""


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    return "warning" if number >= logging.WARNING else "info"


def _plain(value: Any) -> Any:
    """Return a value with objects of Aim's own types converted to text."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if isinstance(value, (bool, bytes, float, int, str, type(None))) else str(value)


def _is_none(epoch: Any) -> bool:
    return epoch is None or (isinstance(epoch, float) and isnan(epoch))
