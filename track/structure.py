"""The objects people see: projects, groups, trials and their status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from reprlib import Repr
from typing import Any


class Status(Enum):
    """Where a trial stands. Values between two groups belong to the lower one."""

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
    """A status of the user's own.

    Parameters
    ----------
    name
        what it is called
    value
        where it belongs, see :class:`Status`: 1 is a kind of created, 102 a kind of running

    Notes
    -----
    Equal to a string with its name, to a dictionary with its name and value, and to any status with
    both.
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
        # As a string with its name, and as an Enum member with its name.
        return hash(self._name)

    def __str__(self) -> str:
        return self._name.lower()

    def __repr__(self) -> str:
        return f"CustomStatus(name={self._name!r}, value={self._value!r})"


AnyStatus = Status | CustomStatus

LOST = CustomStatus("Lost", 204)
"""An error that nobody could record: the process that ran a trial died. It is derived when somebody
asks (``status_of`` of a backend), and stored nowhere."""


def get_status(name: str, value: int) -> AnyStatus:
    """Return the status with a name and a value, one of ours where there is one."""
    status = Status.__members__.get(name)
    return status if status is not None and status.value == value else CustomStatus(name, value)


class _Brief(Repr):
    """Shows the beginning of what is large, and of a set how much is in it."""

    repr_StepSeries = Repr.repr_dict  # noqa: N815 - Repr finds it by the name of the class

    def __init__(self) -> None:
        super().__init__()
        self.maxdict = self.maxlist = self.maxtuple = 6
        self.maxstring = self.maxother = 80
        self.maxlevel = 3

    def repr_set(self, items: set[Any], level: int) -> str:
        return f"<{len(items)}>"

    def brief(self, value: Any) -> str:
        """Return a text that leaves room for others on a screen."""
        text = self.repr(value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


_LONGEST = 240
"""Characters of one of the attributes of what is shown."""

_brief = _Brief().brief


class _Shown:
    """Shows its attributes in its repr, as far as they fit a screen.

    These are no dataclasses because `import track` would take a quarter longer.
    """

    def __repr__(self) -> str:
        values = {name.removeprefix("_"): value for name, value in vars(self).items()}
        values.pop("source", None)
        return f"{type(self).__name__}({', '.join(f'{k}={_brief(v)}' for k, v in values.items())})"


class _Metrics:
    """The metrics of a trial: its own, or those that some storage has of it at the moment.

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
        """Have :attr:`metrics` be whatever a function returns, from now on."""
        self._source = source

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_metrics": self.metrics, "_source": None}


class Trial(_Metrics, _Shown):
    """A single training run.

    Parameters
    ----------
    _hash
        identity of the configuration; computed from what identifies it when not given
    revision
        running number among the trials with that hash
    name, description, tags, version
        what people say of it
    group_id, project_id
        uids of the group and the project it was made in
    parameters
        what it was configured with
    metadata
        what was learnt about it; ``_update_count`` and ``_last_change`` are kept by the storage
    metrics
        name -> list of values, or step -> value
    chronos
        name -> elapsed times, in seconds
    status, errors
        how it went

    Attributes
    ----------
    failure
        what ended the last attempt, None if nothing did: ``message``, which begins with the type of
        the exception, and ``traceback``

    Notes
    -----
    Trials are equal when their uid is.
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
        """The given hash, else the computed one."""
        return self.compute_hash() if self._hash is None else self._hash

    @property
    def uid(self) -> str:
        """``hash_revision``. Setting it splits at the last underscore."""
        return f"{self.hash}_{self.revision}"

    @uid.setter
    def uid(self, uid: str) -> None:
        head, separator, tail = uid.rpartition("_")
        self._hash = head if separator else uid
        self.revision = 0 if not separator else int(tail) if tail.isdecimal() else tail

    def compute_hash(self) -> str:
        """Hash what identifies a configuration: name, version, project and parameters.

        Returns
        -------
        SHA-256, in hexadecimal, of a canonical text: the order of keywords does not matter.
        """
        identity = [self.name, self.version, self.project_id, self.parameters]
        return _hexdigest(canonical(identity))

    def __eq__(self, other: object) -> bool:
        return self.uid == other.uid if isinstance(other, Trial) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.uid)

    def _repr_html_(self) -> str:
        """Show it in a notebook: what it is, its parameters, and the last value of each metric."""
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
    """Return a value as it stands in a cell: text and numbers as they are."""
    return (
        str(value)[:_LONGEST] if isinstance(value, (str, Status, CustomStatus)) else _brief(value)
    )


def _last_of(values: Any) -> Any:
    """Return the last of the values of a metric."""
    if isinstance(values, Mapping):
        values = list(values.values())
    return values[-1] if isinstance(values, list) and values else values


class TrialGroup(_Shown):
    """A namespace, or set, of trials.

    Parameters
    ----------
    _uid
        computed from name and project when not given
    name, description, metadata
        what people say of it
    trials
        uids of its trials
    project_id
        uid of its project

    Notes
    -----
    Groups are equal when their uid is.
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
        """The given uid, else the computed one."""
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
    """A set of groups and trials. Its name is its uid.

    Parameters
    ----------
    _uid
        the name, when that is not given
    name, description, metadata
        what people say of it
    groups, trials
        what it holds

    Notes
    -----
    Projects are equal when their uid is.
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
        """The name."""
        return self.compute_uid()

    def compute_uid(self) -> str:
        """Return the name.

        Raises
        ------
        AssertionError
            there is none
        """
        if self.name is None:
            raise AssertionError("a project needs a name to have a uid")
        return self.name

    def __eq__(self, other: object) -> bool:
        return self.uid == other.uid if isinstance(other, Project) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.uid)


def canonical(value: Any) -> str:
    """Write a value as text, the same whatever order its keys are in and whatever holds it."""
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
