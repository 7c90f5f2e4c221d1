"""The parts of W&B's API that training scripts use: ``import track.integrations.wandb as wandb``.

Values, configuration, files, images, audio, tables and histograms are logged to a trial. Videos and
watched gradients are not recorded; a warning says so once for each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from enum import Enum
from fnmatch import fnmatchcase
from functools import wraps
from types import SimpleNamespace
from typing import Any, Concatenate, ParamSpec, TypeVar

from track.errors import TrackError
from track.integrations.run import LazyRun, Run
from track.integrations.wandb_data import Artifact, Histogram, Media, Table, UsedArtifact, shown_of
from track.loggable import media_among
from track.projections.definitions import SUMMARIES

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

run: WandbRun | None = None
"""The current run."""


class _Items(MutableMapping[str, Any]):
    """Named values of a run."""

    _run: Run
    _items: dict[str, Any]

    def __init__(self, of: Run) -> None:
        vars(self).update(_run=of, _items={})  # other attributes of a configuration are its items

    def __getitem__(self, name: str) -> Any:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


class Config(_Items):
    """The configuration of a run, with its items available as attributes."""

    def __setitem__(self, name: str, value: Any) -> None:
        self._items[name] = value
        self._run.configure({name: value})

    def __delitem__(self, name: str) -> None:
        raise TypeError("items of a configuration are already recorded and cannot be deleted")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._items:
            raise AttributeError(f"the configuration has no item {name!r}")
        return self._items[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def update(self, values: Any = (), **kwargs: Any) -> None:  # type: ignore[override]  # more
        """Add items from a mapping, a namespace or keyword arguments."""
        if not isinstance(values, Mapping) and hasattr(values, "__dict__"):
            values = vars(values)
        for name, value in {**dict(values or {}), **kwargs}.items():
            if name != "allow_val_change":
                self[str(name)] = value

    def setdefaults(self, values: Mapping[str, Any]) -> None:
        """Add items, keeping the values of those that are already there."""
        self.update({name: value for name, value in values.items() if name not in self})

    def as_dict(self) -> dict[str, Any]:
        """Return all items."""
        return dict(self._items)


class Summary(_Items):
    """The summary of a run: the last value of each metric, and values set by the script."""

    def __setitem__(self, name: str, value: Any) -> None:
        self._items[name] = value
        self._run.metadata({f"summary/{name}": value})

    def __delitem__(self, name: str) -> None:
        self._items.pop(name)

    def seen(self, values: Mapping[str, Any]) -> None:
        """Update the summary with logged values."""
        self._items.update(values)


class WandbRun:
    """A run, as returned by ``init``.

    Parameters
    ----------
    of
        the underlying run
    """

    def __init__(self, of: Run) -> None:
        self._run = of
        self.config = Config(of)
        self.summary = Summary(of)
        self.step = 0
        self._axes: list[tuple[str, str]] = []
        """Patterns of metric names, each with the metric whose value is their step."""
        self._seen: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """Return the id, with which ``init(id=…, resume=…)`` resumes the run."""
        return self._run.known_as()

    @property
    def name(self) -> str:
        """Return the name of the trial."""
        return self._run.name or self.id

    @property
    def project(self) -> str | None:
        """Return the project of the trial."""
        return self._run.project

    @property
    def trial(self) -> Any:
        """Return the logger of the trial."""
        return self._run.trial

    @property
    def dir(self) -> str:
        """Return the working folder, because files are logged from where they are."""
        return os.getcwd()

    url = None

    def log(
        self,
        /,
        data: Mapping[str, Any],
        step: int | None = None,
        commit: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Log values at a step, by default the current one; see W&B for ``commit``."""
        if step is not None:
            self.step = step
        values: dict[str, Any] = {}
        for name, value in data.items():
            with self._run.guest(repr(name)):
                values[name] = shown_of(value)
        self._seen.update(values)
        for at, part in self._by_step(values).items():
            self._run.log(part, at)
        _, numbers = media_among(values)
        self.summary.seen({name: value for name, value in numbers.items() if value is not None})
        if commit or (commit is None and step is None):
            self.step += 1

    def _by_step(self, values: Mapping[str, Any]) -> dict[Any, dict[str, Any]]:
        parts: dict[Any, dict[str, Any]] = {}
        for name, value in values.items():
            axis = next((axis for glob, axis in self._axes if fnmatchcase(name, glob)), None)
            at = self.step if axis is None or axis == name else self._seen.get(axis, self.step)
            parts.setdefault(at, {})[name] = value
        return parts

    def define_metric(
        self,
        /,
        name: str,
        step_metric: Any = None,
        summary: str | None = None,
        goal: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Use the value of one metric as the step of others, and define what sums it up."""
        if step_metric is not None:
            self._axes.insert(0, (name, str(getattr(step_metric, "name", step_metric))))
        kinds = [each for each in (summary or "").split(",") if each]  # as "min,max"
        for number, kind in enumerate(kinds):
            if number or kind not in SUMMARIES:
                self._run.miss(f"{name!r}: the summary {kind!r}")
            else:
                better = "minimize" if kind == "best" and goal is None else goal
                self._run.call("define_metric", name, kind, better)
        return SimpleNamespace(name=name)

    def log_artifact(
        self,
        /,
        artifact: Any,
        name: str | None = None,
        type: str | None = None,  # noqa: A002 - W&B's name
        **kwargs: Any,
    ) -> Any:
        """Keep the files of an artifact, or a single file or folder."""
        if not isinstance(artifact, Artifact):
            made = Artifact(name or os.path.basename(os.fspath(artifact)), type or "file")
            (made.add_dir if os.path.isdir(artifact) else made.add_file)(artifact)
            artifact = made
        self._run.call("log_artifact", artifact.files, artifact.name)
        self._run.metadata({f"artifact:{artifact.name}": artifact.described()})
        return artifact

    def use_artifact(self, /, artifact_or_name: Any, *args: Any, **kwargs: Any) -> UsedArtifact:
        """Record that an artifact is used, ``name:version``, and return it.

        Raises
        ------
        ItemNotFound
            the artifact or version does not exist
        """
        named = str(getattr(artifact_or_name, "name", artifact_or_name))
        name, _, version = named.rpartition("/")[2].partition(":")
        return UsedArtifact(self._run.trial.use_artifact(name, version or "latest"))

    def save(self, glob_str: Any = None, *args: Any, **kwargs: Any) -> None:
        """Keep the files that match a glob pattern."""
        from glob import glob

        for path in sorted(glob(os.fspath(glob_str))) if glob_str else []:
            if os.path.isfile(path):
                self._run.call("log_file", path)

    def watch(self, *args: Any, **kwargs: Any) -> None:
        """Warn that gradients are not recorded."""
        self._run.miss("gradients: watch has no effect")

    def unwatch(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: gradients are never watched."""

    def alert(self, /, title: str, text: str = "", level: Any = None, **kwargs: Any) -> None:
        """Raise an alert of the trial."""
        self._run.call("alert", title, text, "info" if level is None else level)

    def finish(self, exit_code: int | None = None, **kwargs: Any) -> None:
        """Finish the trial."""
        if exit_code:
            self._run.finish(RuntimeError, RuntimeError(f"finished with exit code {exit_code}"))
        else:
            self._run.finish()
        _forget(self)

    def __enter__(self) -> WandbRun:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._run.finish(*exc_info)
        _forget(self)


def init(
    project: str | None = None,
    config: Any = None,
    *,
    name: str | None = None,
    group: str | None = None,
    tags: Any = None,
    id: str | None = None,  # noqa: A002 - W&B's name
    mode: str | None = None,
    reinit: Any = None,
    to: Any = None,
    **settings: Any,
) -> WandbRun:
    """Start a run, or return the current one.

    Parameters
    ----------
    project, group, name, tags
        of the trial
    config
        its parameters: a mapping or a namespace
    id
        the id of the run; the id of an earlier run resumes it
    mode
        ``disabled`` keeps everything in memory only
    reinit
        finish the current run, if any, and start a new one
    to
        where to log, see :class:`track.integrations.run.Run`
    settings
        further arguments of W&B, logged as metadata
    """
    global run  # noqa: PLW0603 - `wandb.run` is part of W&B's API
    if run is not None and not reinit:
        return run
    if run is not None:
        run.finish()
    guest = LazyRun(
        "memory:" if mode == "disabled" else to,
        project=project,
        group=group,
        name=name,
        tags=dict.fromkeys(map(str, tags or ())),
        run_id=id,
    )
    run = WandbRun(guest)
    if isinstance(config, Mapping) or hasattr(config, "__dict__"):
        run.config.update(config)
    described = {key: value for key, value in settings.items() if value is not None}
    if described:
        guest.describe({"wandb": described})
    return run


def _forget(ended: WandbRun) -> None:
    global run  # noqa: PLW0603 - `wandb.run` is part of W&B's API
    if run is ended:
        run = None


def _current() -> WandbRun:
    if run is None:
        raise TrackError("call wandb.init() before logging")
    return run


def _of_current(
    method: Callable[Concatenate[WandbRun, _Arguments], _Result],
) -> Callable[_Arguments, _Result]:
    """Return a function that calls a method of the current run."""

    @wraps(method)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        return method(_current(), *args, **kwargs)

    return call


log = _of_current(WandbRun.log)
define_metric = _of_current(WandbRun.define_metric)
log_artifact = _of_current(WandbRun.log_artifact)
use_artifact = _of_current(WandbRun.use_artifact)
save = _of_current(WandbRun.save)
watch = _of_current(WandbRun.watch)
alert = _of_current(WandbRun.alert)


def unwatch(*args: Any, **kwargs: Any) -> None:
    """Do nothing: gradients are never watched."""


def finish(exit_code: int | None = None, **kwargs: Any) -> None:
    """Finish the current run, if there is one."""
    if run is not None:
        run.finish(exit_code)


def login(*args: Any, **kwargs: Any) -> bool:
    """Do nothing: no account is needed."""
    return True


class Settings(SimpleNamespace):
    """W&B's settings, which are accepted and ignored."""


class AlertLevel(Enum):
    """The levels of alerts."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Image(Media):
    """An image."""


class Video(Media):
    """A video, which is not recorded."""


class Audio(Media):
    """Audio; an array needs a ``sample_rate``."""


class Html(Media):
    """An HTML page."""


def __getattr__(name: str) -> Any:
    if name in ("config", "summary"):
        return getattr(_current(), name)
    raise AttributeError(f"track.integrations.wandb has no {name!r}")


__all__ = [
    "AlertLevel",
    "Artifact",
    "Audio",
    "Histogram",
    "Html",
    "Image",
    "Settings",
    "Table",
    "Video",
    "alert",
    "define_metric",
    "finish",
    "init",
    "log",
    "log_artifact",
    "login",
    "save",
    "unwatch",
    "use_artifact",
    "watch",
]
