"""Read objects from rows on demand, so that a store opens quickly."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import compress
from itertools import count as count_up
from math import inf
from typing import Any, Protocol
from weakref import ref

from track.containers.points import Unusable
from track.events.types import Heartbeat
from track.events.values import unpack
from track.projections.attempts import AttemptsOf
from track.projections.index import ArchivedFrom, Known
from track.projections.objects import Objects
from track.projections.query import Query
from track.projections.rows import (
    GROUP,
    PART,
    PROJECT,
    TRIAL,
    Entry,
    FindSeries,
    Row,
    digest_of,
    name_of,
    unread_trial,
)
from track.structure import Project, Trial, TrialGroup


class Directory:
    """The entries of all rows, by number from 1 on."""

    def __init__(self) -> None:
        self.kinds = array("B")
        self.names, self.streams, self.digests = array("Q"), array("Q"), array("Q")
        self._numbers: dict[int, int] = {}
        """The row numbers by name, up to those of some row"""
        self._numbered = 0

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, number: int) -> Entry:
        index = number - 1
        names, streams, digests = self.names[index], self.streams[index], self.digests[index]
        return Entry(self.kinds[index], names, streams, digests)

    def columns(self) -> tuple[array[int], ...]:
        """Return the fields of all entries as columns."""
        return self.kinds, self.names, self.streams, self.digests

    def put(self, number: int, entry: Entry) -> None:
        """Set the entry of an existing row or of the next one."""
        for column, value in zip(self.columns(), entry, strict=True):
            if number > len(column):
                column.append(value)
            else:
                column[number - 1] = value

    def extend(self, columns: Iterable[array[int]]) -> None:
        """Add entries, given as columns of their fields."""
        for column, more in zip(self.columns(), columns, strict=True):
            column.extend(more)

    def number_of(self, name: int) -> int:
        """Return the row number of a name, 0 without one."""
        if self._numbered < len(self):
            more = zip(self.names[self._numbered :], count_up(self._numbered + 1), strict=False)
            self._numbers.update(more)
            self._numbered = len(self)
        return self._numbers.get(name, 0)

    def by_name(self) -> dict[int, int]:
        """Return the row numbers by name."""
        return dict(zip(self.names, count_up(1), strict=False))

    def by_stream(self) -> dict[int, int]:
        """Return the row numbers by stream."""
        return dict(zip(self.streams, count_up(1), strict=False))

    def with_digest(self, digest: int) -> list[int]:
        """Return the row numbers with a digest."""
        found = [0]
        with suppress(ValueError):
            while True:
                found.append(self.digests.index(digest, found[-1]) + 1)
        return found[1:]

    def of_kind(self, *kinds: int) -> list[int]:
        """Return the row numbers of some kinds."""
        wanted = self.kinds.tobytes().translate(bytes(kind in kinds for kind in range(256)))
        return [*compress(range(1, len(wanted) + 1), wanted)]


Written = tuple[Entry, tuple[bytes, ...]]
"""The directory entry of a row, and the parts of the row."""


class Rows(Protocol):
    """A source of rows."""

    directory: Directory

    def read(self, numbers: Iterable[int]) -> Iterator[Row]:
        """Yield rows in the order of their numbers.

        Raises
        ------
        Unusable
            the rows do not exist, or no longer exist
        """


class StoredObjects(Objects):
    """All projects, groups and trials, where unused trials are still in rows.

    It becomes ordinary objects once all trials are loaded.

    Parameters
    ----------
    rows
        the source of the rows
    find
        returns stored series
    recover
        called when rows cannot be read any more: it returns all objects in the same state from
        another source, or raises the error
    """

    def __init__(
        self, rows: Rows, find: FindSeries, recover: Callable[[Objects, Unusable], Objects]
    ) -> None:
        super().__init__()
        self.trials = _Trials(self)
        self._rows, self._find, self._recover = rows, find, recover
        directory = rows.directory
        self._end = len(directory)
        self._by_name, self._by_stream = directory.by_name(), directory.by_stream()
        self._loaded: dict[int, Any] = {}
        """The subjects of the rows that were read, by number"""
        groups_of: list[tuple[Project, list[str]]] = []
        for row in rows.read(directory.of_kind(PROJECT, GROUP)):
            subject, own = self._add(row)
            if isinstance(subject, Project):
                groups_of.append((subject, own[0]))
        for project, uids in groups_of:
            project.groups = {self.groups[uid] for uid in uids}
        # Partial trials whose creation was found later no longer exist.
        parts = {number: directory[number].stream for number in directory.of_kind(PART)}
        self._load([n for n, stream in parts.items() if self._by_stream[stream] <= n])

    # Reading on demand

    def find_stream(self, stream: int) -> None:
        if stream not in self.by_stream:
            self._need([self._by_stream.get(stream, 0)])

    def is_stored(self, uid: Any) -> bool:
        """Return whether a trial is in a row."""
        return isinstance(uid, str) and 0 < self._number(uid) <= self._end

    def _number(self, uid: str) -> int:
        return self._by_name.get(name_of(TRIAL, uid), 0)

    def read_trial(self, uid: Any) -> Trial:
        """Read a trial from its row.

        Raises
        ------
        KeyError
            no row has this trial
        """
        if self.is_stored(uid):
            self._need([self._number(uid)])
            if dict.__contains__(self.trials, uid):
                return self.trials[uid]
        raise KeyError(uid)

    def with_hash(self, trial_hash: str) -> list[str]:
        self._need(self._rows.directory.with_digest(digest_of(trial_hash)))
        found = Objects.with_hash(self, trial_hash)
        if type(self) is not StoredObjects:
            return found
        found.sort(key=lambda uid: self._number(uid) or inf)  # in the order of creation
        return found

    def find_groups(self, query: Query) -> Iterator[TrialGroup]:
        self.read_all()
        return Objects.find_groups(self, query)

    def find_projects(self, query: Query) -> Iterator[Project]:
        self.read_all()
        return Objects.find_projects(self, query)

    def _candidates(self, query: Query) -> Iterable[str] | None:
        if isinstance(query, Mapping) and "group_id" in query:
            self.read_all()
        return Objects._candidates(self, query)  # noqa: SLF001 - this may have become an ordinary object

    def known_trials(self) -> Iterator[Known]:
        """Yield all trials, oldest first, without keeping those in rows."""
        seen: set[str] = set()
        try:
            for known in self._in_rows():
                seen.add(known.trial.uid)
                yield known
        except Unusable as error:
            self._replace(error)
        trials = [trial for uid, trial in _plain(self.trials).items() if uid not in seen]
        yield from map(self.known, (*trials, *self.parts.values()))

    def _in_rows(self) -> Iterator[Known]:
        wanted = self._rows_of_trials()
        rows = self._rows.read([number for number in wanted if number not in self._loaded])
        for number in wanted:
            trial = self._loaded.get(number)
            if trial is not None:
                yield self.known(trial)
                continue
            row = next(rows)
            _, _, beats, _, attempts, *own = unpack(row.head)
            yield Known(
                unread_trial(own, row, self._find),
                {Heartbeat(*beat): at for *beat, at in beats} if beats else {},
                None if attempts is None else AttemptsOf(attempts),
                own[9],
                own[8] is not None if own[8] != [] else None,
            )

    def written(self, write: Callable[[Any], Written]) -> list[Written]:
        """Return the current rows of all objects, copying those that were not read."""
        try:
            return [*self._written(write)]
        except Unusable as error:
            self._replace(error)
            return [*map(write, self.subjects())]

    def _written(self, write: Callable[[Any], Written]) -> Iterator[Written]:
        yield from map(write, (*self.projects.values(), *self.groups.values()))
        wanted = self._rows_of_trials()
        rows = self._rows.read([number for number in wanted if number not in self._loaded])
        for number in wanted:
            trial = self._loaded.get(number)
            if trial is None:
                _, *parts = next(rows)
                yield self._rows.directory[number], tuple(parts)
            else:
                yield write(trial)
        kept = {id(subject) for subject in self._loaded.values()}
        made = [trial for trial in _plain(self.trials).values() if id(trial) not in kept]
        yield from map(write, (*made, *self.parts.values()))

    def read_all(self) -> None:
        """Read all trials from rows, and sort them by creation."""
        self._need(self._rows_of_trials())
        if type(self) is StoredObjects:
            trials = [self._loaded[number] for number in self._rows_of_trials()]
            self._become({trial.uid: trial for trial in trials} | {**_plain(self.trials)})

    def _rows_of_trials(self) -> list[int]:
        return [number for number in self._rows.directory.of_kind(TRIAL) if number <= self._end]

    def _become(self, trials: dict[str, Trial]) -> None:
        """Become ordinary objects with all trials."""
        asked = self.trials
        dict.clear(asked)
        dict.update(asked, trials)
        for name in ("_rows", "_find", "_recover", "_end", "_by_name", "_by_stream", "_loaded"):
            self.__dict__.pop(name, None)
        self.__class__ = Objects  # type: ignore[assignment]
        self.trials, self.revisions, self.by_group = {}, {}, {}
        for trial in trials.values():
            self.add_trial(trial)

    # Rows

    def _need(self, numbers: Iterable[int]) -> None:
        wanted = [n for n in numbers if 0 < n <= self._end and n not in self._loaded]
        try:
            self._load(wanted)
        except Unusable as error:
            self._replace(error)

    def _replace(self, error: Unusable) -> None:
        """Replace the content by objects that are not read from rows."""
        objects = self._recover(self, error)
        self.__dict__.update(vars(objects), trials=self.trials)
        self._become(objects.trials)

    def _load(self, numbers: Iterable[int]) -> None:
        for row in self._rows.read(numbers):
            self._add(row)

    def _add(self, row: Row) -> tuple[Any, list[Any]]:
        """Add the subject of a row, and return it with its own part of the head."""
        kind, stream, beats, started, attempts, *own = unpack(row.head)
        if kind in (TRIAL, PART):
            subject: Any = unread_trial(own, row, self._find)
            self._add_trial(subject, own, is_part=kind == PART)
        elif kind == GROUP:
            uid, name, description, metadata, project_id = unpack(row.body)
            subject = TrialGroup(uid, name, description, metadata, {*own[0]}, project_id)
            self.groups[subject.uid] = subject
        else:
            name, description, metadata = unpack(row.body)
            subject = Project(name=name, description=description, metadata=metadata)
            self.projects[name] = subject
        self._loaded[row.number] = subject
        if kind == PART:
            self.parts[stream] = subject
        elif stream is not None:
            self.by_stream[stream] = subject
            self.stream_of[id(subject)] = stream
        if stream is not None:
            self.know(stream, [beats, started, attempts])
        return subject, own

    def _add_trial(self, trial: Trial, own: list[Any], *, is_part: bool) -> None:
        projects, groups, homes, created = own[6:10]
        uid = trial.uid
        if not is_part:
            self.add_trial(trial)
        if created is not None:
            self.created[uid] = created
        if homes is not None:
            self.archived[uid] = ArchivedFrom(*map(set, homes)) if homes else None
        for name in projects:
            self.projects[name].trials.add(trial)
        for group in groups:
            self.groups[group].trials.add(uid)

    def know(self, stream: int, known: list[Any]) -> None:
        """Add the state of a stream that does not depend on its subject."""
        beats, started, attempts = known
        if beats:
            self.heartbeats[stream] = {Heartbeat(*beat): at for *beat, at in beats}
        for name, at in started:
            self.started[stream, name] = at
        if attempts is not None:
            self.attempts[stream] = AttemptsOf(attempts)


class _Trials(dict[str, Trial]):
    """Trials by uid, read on demand: one by one, or all at once when iterated."""

    def __init__(self, owner: StoredObjects) -> None:
        super().__init__()
        self._owner = ref(owner)

    def _unread(self) -> StoredObjects | None:
        """Return the objects of these trials, None if all trials were read."""
        owner = self._owner()
        return owner if type(owner) is StoredObjects else None

    def __missing__(self, uid: Any) -> Trial:
        owner = self._unread()
        if owner is None:
            raise KeyError(uid)
        return owner.read_trial(uid)

    def __contains__(self, uid: object) -> bool:
        if dict.__contains__(self, uid):
            return True
        owner = self._unread()
        return owner is not None and owner.is_stored(uid)

    def get(self, uid: Any, default: Any = None) -> Any:
        try:
            return self[uid]
        except KeyError:
            return default

    def __len__(self) -> int:
        return dict.__len__(self._whole())

    def __iter__(self) -> Iterator[str]:
        return dict.__iter__(self._whole())

    def __reversed__(self) -> Iterator[str]:
        return dict.__reversed__(self._whole())

    def __eq__(self, other: object) -> bool:
        return dict.__eq__(self._whole(), other)

    __hash__ = None  # like a dictionary

    def keys(self) -> Any:
        return dict.keys(self._whole())

    def values(self) -> Any:
        return dict.values(self._whole())

    def items(self) -> Any:
        return dict.items(self._whole())

    def _whole(self) -> _Trials:
        owner = self._unread()
        if owner is not None:
            owner.read_all()
        return self


def _plain(trials: dict[str, Trial]) -> dict[str, Trial]:
    """Return the trials that were read."""
    return {uid: dict.__getitem__(trials, uid) for uid in dict.__iter__(trials)}
