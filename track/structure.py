"""Define projects, groups, trials and their status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from reprlib import Repr
from typing import Any

from track.containers.alerts import Alert, alerts_in


class Status(Enum):
    """The status of a trial; a value between two groups belongs to the lower one."""

    CreatedGroup = 0
    RunningGroup = 100
    Running = 101
    ErrorGroup = 200
    Interrupted = 201
    Exception = 202
    Broken = 203
    FinishedGroup = 300
    Suspended = 301
    Completed = 302

    def __str__(self) -> str:
        return self.name.lower()


class CustomStatus:
    """A status defined by the user.

    Parameters
    ----------
    name
        the name of the status
    value
        its group, see :class:`Status`: 1 is a kind of created, 102 a kind of running

    Notes
    -----
    It is equal to a string with its name, to a dictionary with its name and value, and to any
    status with both.
    """

    __slots__ = ("_name", "_value")

    def __init__(self, name: str, value: int) -> None:
        self._name = name
        self._value = value

    @property
    def name(self) -> str:
        return self._name

    @property
    def value(self) -> int:
        return self._value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self._name == other
        if isinstance(other, dict):
            return (self._name, self._value) == (other.get("name"), other.get("value"))
        if isinstance(other, (Status, CustomStatus)):
            return (self._name, self._value) == (other.name, other.value)
        return NotImplemented

    def __hash__(self) -> int:
        # The hash is that of a string, and of an Enum member, with its name.
        return hash(self._name)

    def __str__(self) -> str:
        return self._name.lower()

    def __repr__(self) -> str:
        return f"CustomStatus(name={self._name!r}, value={self._value!r})"


AnyStatus = Status | CustomStatus

LOST = CustomStatus("Lost", 204)
"""The status of a trial whose process died without recording its end. It is derived by
``status_of`` of a backend and never stored."""


_STATUSES = dict(Status.__members__)  # which an enumeration makes anew whenever it is asked


def get_status(name: str, value: int) -> AnyStatus:
    """Return the status with a name and a value: a built-in one if possible."""
    status = _STATUSES.get(name)
    return status if status is not None and status.value == value else CustomStatus(name, value)


class _Brief(Repr):
    """Shortens large values to their beginning, and sets to their size."""

    repr_StepSeries = Repr.repr_dict  # noqa: N815 - Repr finds it by the name of the class

    def __init__(self) -> None:
        super().__init__()
        self.maxdict = self.maxlist = self.maxtuple = 6
        self.maxstring = self.maxother = 80
        self.maxlevel = 3

    def repr_set(self, items: set[Any], level: int) -> str:
        return f"<{len(items)}>"

    def brief(self, value: Any) -> str:
        """Return a short text for a value."""
        text = self.repr(value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


_LONGEST = 240
"""The most characters of one attribute in a repr."""

_brief = _Brief().brief


class _Shown:
    """Shows its attributes in its repr, shortened to fit a screen.

    The subclasses are not dataclasses, which would make `import track` a quarter slower.
    """

    def __repr__(self) -> str:
        values = {name.removeprefix("_"): value for name, value in vars(self).items()}
        values.pop("source", None)
        return f"{type(self).__name__}({', '.join(f'{k}={_brief(v)}' for k, v in values.items())})"


class _Metrics:
    """The metrics of a trial: its own, or read from its storage on demand.

    A trial that logs millions of values need not keep a copy of each.
    """

    _metrics: dict[str, Any]
    _source: Callable[[], dict[str, Any]] | None

    @property
    def metrics(self) -> dict[str, Any]:
        return self._metrics if self._source is None else self._source()

    @metrics.setter
    def metrics(self, metrics: dict[str, Any]) -> None:
        self._metrics, self._source = metrics, None

    def read_metrics_from(self, source: Callable[[], dict[str, Any]]) -> None:
        """Read :attr:`metrics` from a function from now on."""
        self._source = source

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_metrics": self.metrics, "_source": None}


class Trial(_Metrics, _Shown):
    """A single training run.

    Parameters
    ----------
    _hash
        the identity of the configuration; by default computed from what identifies it
    revision
        the number of the trial among those with the same hash
    name, description, tags, version
        descriptions by the user
    group_id, project_id
        the uids of the group and the project in which it was created
    parameters
        the arguments of the trial
    metadata
        facts about the trial; the storage maintains those that begin with ``_``
    metrics
        a list of values, or a mapping of steps to values, by name
    chronos
        the measured times in seconds by name
    status, errors
        the state of the trial, and its errors

    Attributes
    ----------
    failure
        the exception or signal that ended the last attempt, None without one: ``message``, which
        begins with the type of the exception, and ``traceback``

    Notes
    -----
    Trials with the same uid are equal.
    """

    def __init__(  # noqa: PLR0917 - the documented signature
        self,
        _hash: str | None = None,
        revision: int | str = 0,
        name: str | None = None,
        description: str | None = None,
        tags: dict[str, Any] | None = None,
        version: str | None = None,
        group_id: Any = None,
        project_id: Any = None,
        parameters: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        chronos: dict[str, Any] | None = None,
        status: AnyStatus | None = Status.CreatedGroup,
        errors: list[str] | None = None,
    ) -> None:
        self._hash = _hash
        self.revision = revision
        self.name = name
        self.description = description
        self.tags = {} if tags is None else tags
        self.version = version
        self.group_id = group_id
        self.project_id = project_id
        self.parameters = {} if parameters is None else parameters
        self.metadata = {} if metadata is None else metadata
        self.metrics = {} if metrics is None else metrics
        self.chronos = {} if chronos is None else chronos
        self.status = status
        self.errors = [] if errors is None else errors
        self.failure: dict[str, str] | None = None

    @property
    def hash(self) -> str:
        """Return the given hash, else the computed one."""
        return self.compute_hash() if self._hash is None else self._hash

    @property
    def uid(self) -> str:
        """Return ``hash_revision``; setting it splits the text at the last underscore."""
        return f"{self.hash}_{self.revision}"

    @uid.setter
    def uid(self, uid: str) -> None:
        head, separator, tail = uid.rpartition("_")
        self._hash = head if separator else uid
        self.revision = 0 if not separator else int(tail) if tail.isdecimal() else tail

    @property
    def alerts(self) -> list[Alert]:
        """Return the latest alerts that the trial raised, oldest first."""
        return alerts_in(self.metadata)

    def compute_hash(self) -> str:
        """Hash the identity of a configuration: name, version, project and parameters.

        Returns
        -------
        The SHA-256, in hexadecimal, of a canonical text that ignores the order of keywords.
        """
        identity = [self.name, self.version, self.project_id, self.parameters]
        return _hexdigest(canonical(identity))

    def __eq__(self, other: object) -> bool:
        return self.uid == other.uid if isinstance(other, Trial) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.uid)

    def _repr_html_(self) -> str:
        """Return HTML for a notebook: identity, parameters, and the last value of each metric."""
        from html import escape

        facts = {"name": self.name, "status": self.status, "revision": self.revision}
        facts |= {} if self.failure is None else {"failure": self.failure.get("message")}
        facts |= {f"parameters.{name}": value for name, value in self.parameters.items()}
        facts |= {f"metrics.{name}": _last_of(values) for name, values in self.metrics.items()}
        rows = (
            f"<tr><th>{escape(str(name))}</th><td>{escape(_text(value))}</td></tr>"
            for name, value in facts.items()
        )
        return f"<table><caption>Trial {escape(self.uid)}</caption>{''.join(rows)}</table>"


def _text(value: Any) -> str:
    """Return the text of a value in a cell; text and numbers stay as they are."""
    return (
        str(value)[:_LONGEST] if isinstance(value, (str, Status, CustomStatus)) else _brief(value)
    )


def _last_of(values: Any) -> Any:
    """Return the last of the values of a metric."""
    if isinstance(values, Mapping):
        values = list(values.values())
    return values[-1] if isinstance(values, list) and values else values


class TrialGroup(_Shown):
    """A named set of trials.

    Parameters
    ----------
    _uid
        by default computed from name and project
    name, description, metadata
        descriptions by the user
    trials
        the uids of its trials
    project_id
        the uid of its project

    Notes
    -----
    Groups with the same uid are equal.
    """

    def __init__(
        self,
        _uid: str | None = None,
        name: str | None = None,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        trials: set[Any] | None = None,
        project_id: Any = None,
    ) -> None:
        self._uid = _uid
        self.name = name
        self.description = description
        self.metadata = {} if metadata is None else metadata
        self.trials = set() if trials is None else trials
        self.project_id = project_id

    @property
    def uid(self) -> str:
        """Return the given uid, else the computed one."""
        return self.compute_uid() if self._uid is None else self._uid

    def compute_uid(self) -> str:
        """Hash the name and the project.

        Raises
        ------
        AssertionError
            one of them is missing
        """
        if self.name is None or self.project_id is None:
            missing = "a name" if self.name is None else "a project_id"
            raise AssertionError(f"a trial group needs {missing} to have a uid")
        return _hexdigest(canonical([self.name, self.project_id]))

    def __eq__(self, other: object) -> bool:
        return self.uid == other.uid if isinstance(other, TrialGroup) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.uid)


class Project(_Shown):
    """A set of groups and trials, whose name is its uid.

    Parameters
    ----------
    _uid
        by default the name
    name, description, metadata
        descriptions by the user
    groups, trials
        the groups and trials of the project

    Notes
    -----
    Projects with the same uid are equal.
    """

    def __init__(
        self,
        _uid: str | None = None,
        name: str | None = None,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        groups: set[TrialGroup] | None = None,
        trials: set[Trial] | None = None,
    ) -> None:
        self._uid = _uid
        self.name = _uid if name is None else name
        self.description = description
        self.metadata = {} if metadata is None else metadata
        self.groups = set() if groups is None else groups
        self.trials = set() if trials is None else trials

    @property
    def uid(self) -> str:
        """Return the name."""
        return self.compute_uid()

    def compute_uid(self) -> str:
        """Return the name.

        Raises
        ------
        AssertionError
            the name is missing
        """
        if self.name is None:
            raise AssertionError("a project needs a name to have a uid")
        return self.name

    def __eq__(self, other: object) -> bool:
        return self.uid == other.uid if isinstance(other, Project) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.uid)


def canonical(value: Any) -> str:
    """Convert a value to text that does not depend on the order of keys or the container type."""
    if isinstance(value, Mapping):
        items = sorted(f"{canonical(key)}:{canonical(item)}" for key, item in value.items())
        return "{" + ",".join(items) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ",".join(sorted(map(canonical, value))) + "}"
    if isinstance(value, str):
        return repr(str(value))
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        if getattr(value, "shape", None) == ():
            return canonical(value.item())  # type: ignore[attr-defined]  # a NumPy or torch scalar
        return "[" + ",".join(map(canonical, value)) + "]"
    if type(value).__module__ != "builtins" and hasattr(value, "item"):
        return repr(value.item())
    return repr(value)


def _hexdigest(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
