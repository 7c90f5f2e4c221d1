"""Make decisions and answer queries on a store, in this process or at a server.

A decision is an event that is recorded only if its preconditions hold at that moment: a trial does
not exist yet, or it is the first one that matches a query.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, NamedTuple

from track.errors import GroupDoesNotExist, ItemNotFound, ProjectDoesNotExist
from track.events.types import Event
from track.persistence.protocol import Query
from track.projections.copies import copy_group, copy_project, copy_trial
from track.projections.finding import Found, find_trial
from track.projections.objects import Objects
from track.structure import AnyStatus, Trial

Kind = Literal["project", "group", "trial", "archived"]
"""The kinds of objects; archived trials are a kind of their own."""

Expected = Literal["absent", "present", "first"]


class Precondition(NamedTuple):
    """A condition for an event to be recorded."""

    kind: Kind
    uid: Any
    expected: Expected
    """The uid does not exist; it exists; it is the first match of the query."""
    query: Query = None


COPY: Mapping[Kind, Callable[[Any], Any]] = {
    "project": copy_project,
    "group": copy_group,
    "trial": copy_trial,
    "archived": copy_trial,
}
"""The functions that copy an object of each kind for callers."""


class Repository(ABC):
    """Makes decisions and answers queries."""

    @abstractmethod
    def append_if(
        self, stream: int, event: Event, preconditions: Iterable[Precondition]
    ) -> Precondition | None:
        """Record an event if all preconditions hold, atomically.

        Returns
        -------
        The first precondition that does not hold, None if the event was recorded.
        """

    @abstractmethod
    def update(self, kind: Kind, query: Query, event_of: Callable[[int], Event]) -> Any:
        """Update the first object that matches, atomically.

        Parameters
        ----------
        kind, query
            the kind of object, and the query
        event_of
            returns the event to record for the stream of the object

        Returns
        -------
        A copy of the updated object.

        Raises
        ------
        ItemNotFound
            no object matches
        """

    @abstractmethod
    def find(self, kind: Kind, query: Query) -> list[Any]:
        """Return copies of the objects that match, oldest first."""

    def home(self, kind: Literal["project", "group"], uid: Any) -> Any:
        """Return a copy of the project or group with a uid, None if it does not exist.

        Its members may be read on demand, but as of now.
        """
        found = self.find(kind, {"uid": uid})
        return found[0] if found else None

    @abstractmethod
    def knows(self, kind: Kind, uid: Any) -> bool:
        """Return whether a uid exists, possibly of a partial trial."""

    @abstractmethod
    def revisions(self, uid: str) -> list[Any] | None:
        """Return all revisions of a trial, oldest first, None if it does not exist."""

    @abstractmethod
    def next_revision(self, digest: str) -> int:
        """Return the next free revision of a hash."""

    @abstractmethod
    def status_of(self, uid: str, stream: int) -> AnyStatus | None:
        """Return the status of a trial, see :func:`track.provenance.liveness.derive_status`."""

    @abstractmethod
    def status_in(self, objects: Objects, trial: Trial) -> AnyStatus | None:
        """Return the status of one of the current objects, see :meth:`status_of`."""

    @abstractmethod
    def metrics(self, uid: str) -> dict[str, Any]:
        """Return the metrics of a trial in plain containers."""

    @abstractmethod
    def exclusive_state(self) -> AbstractContextManager[Objects]:
        """Give the current objects; no decisions are made elsewhere meanwhile."""

    @contextmanager
    def looking_up(self, wanted: Sequence[str]) -> Iterator[tuple[Objects, list[Found]]]:
        """Find trials by name, uid or prefix, and give current objects that include them.

        Raises
        ------
        TrialDoesNotExist
            no trial or several trials match a text; the message names them
        """
        with self.read_state() as objects:
            yield objects, [find_trial(objects, which) for which in wanted]

    @abstractmethod
    def read_state(self) -> AbstractContextManager[Objects]:
        """Give the current objects for exclusive use."""

    @abstractmethod
    def close(self) -> None:
        """Release resources."""


def table(objects: Objects, kind: Kind) -> dict[str, Any]:
    """Return the objects of a kind by uid."""
    tables: dict[Kind, dict[str, Any]] = {
        "project": objects.projects,
        "group": objects.groups,
        "trial": objects.trials,
        "archived": objects.trials,
    }
    return tables[kind]


def matches(objects: Objects, kind: Kind, query: Query) -> Iterator[Any]:
    """Yield the objects of a kind that match a query, oldest first."""
    find: dict[Kind, Callable[[Query], Iterator[Any]]] = {
        "project": objects.find_projects,
        "group": objects.find_groups,
        "trial": objects.find_trials,
        "archived": objects.find_archived,
    }
    return find[kind](query)


def first_match(objects: Objects, kind: Kind, query: Query) -> str:
    """Return the uid of the first object that matches.

    Raises
    ------
    ItemNotFound
        no object matches
    """
    found = next(matches(objects, kind, query), None)
    if found is None:
        raise ItemNotFound(f"no {kind} matches {query!r}")
    uid: str = found.uid
    return uid


def first_unmet(objects: Objects, preconditions: Iterable[Precondition]) -> Precondition | None:
    """Return the first precondition that does not hold, None if all hold."""
    for precondition in preconditions:
        kind, uid, expected, query = precondition
        if expected == "first":
            first = next(matches(objects, kind, query), None)
            met = first is not None and first.uid == uid
        else:
            met = (uid in table(objects, kind)) == (expected == "present")
        if not met:
            return precondition
    return None


def exists_already(unmet: Precondition | None) -> bool:
    """Return whether an object was not created because it exists.

    Raises
    ------
    ProjectDoesNotExist, GroupDoesNotExist
        its project or group does not exist
    """
    if unmet is None:
        return False
    if unmet.expected == "present":
        raise no_home(unmet.kind, unmet.uid)
    return True


def no_home(kind: Kind, uid: Any) -> ItemNotFound:
    """Return the error for a missing project or group."""
    if kind == "project":
        return ProjectDoesNotExist(
            f"no project {uid!r} in this store: insert it with new_project first"
        )
    return GroupDoesNotExist(
        f"no trial group {uid!r} in this store: insert it with new_trial_group first"
    )
