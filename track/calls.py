"""Interpret how scripts write their calls: arguments, values, and names of other trackers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

_Class = TypeVar("_Class")

_METRICS = "{}.log_metrics(loss=0.1, step=3)"
_ARGUMENTS = "{}.log_arguments(lr=0.1)"
_TRIAL = "client.new_trial(name=…, parameters={{…}})"
_FILE = "{}.log_file('model.pt')"
_TAGS = "{}.add_tags(model='small')"
_READ = "track.open('file:report.json').trials()"

_INSTEAD = {
    "active_run": "client.trial",
    "config": _ARGUMENTS,
    "create_experiment": "client.set_project(name=…)",
    "create_run": _TRIAL,
    "end": "{}.finish()",
    "end_run": "{}.finish()",
    "init": _TRIAL,
    "log": "{}.log({{'loss': 0.1}}, step=3)",
    "log_artifact": _FILE,
    "log_artifacts": "{}.log_directory('results')",
    "log_hyperparams": _ARGUMENTS,
    "log_metric": _METRICS,
    "log_model": _FILE,
    "log_param": _ARGUMENTS,
    "log_params": _ARGUMENTS,
    "run": "client.trial",
    "search_runs": _READ,
    "set_experiment": "client.set_project(name=…)",
    "set_tag": _TAGS,
    "set_tags": _TAGS,
    "start_run": _TRIAL,
    "summary": "{}.log_metadata(best_loss=0.1)",
}
"""Name in other trackers -> what to write here, on a client or a trial."""


def unknown_attribute(owner: str, name: str, subject: str) -> str:
    """Say that there is no such attribute, and what to write if another tracker has it.

    Parameters
    ----------
    owner
        what does not have it
    name
        of the attribute
    subject
        what a script calls the client or trial it has, or could have
    """
    instead = _INSTEAD.get(name)
    hint = "" if instead is None else f": write {instead.format(subject)}"
    return f"{owner} has no attribute {name!r}{hint}"


def read_arguments(args: Any, more: Mapping[str, Any] | None = None) -> tuple[Any, dict[Any, Any]]:
    """Return what to give back for some arguments, and the dictionary of them.

    Raises
    ------
    TypeError
        they are nothing that holds arguments
    """
    if args is None:
        from argparse import Namespace

        return Namespace(**(more or {})), {}
    if hasattr(args, "parse_args"):
        args = args.parse_args()
    if isinstance(args, dict):
        return args, dict(args)
    if hasattr(args, "__dict__"):
        return args, dict(vars(args))
    raise TypeError(
        "arguments must be an ArgumentParser, a Namespace or a dictionary, not "
        f"{type(args).__name__}"
    )


def values_of(call: str, first: Any, named: dict[str, Any]) -> dict[str, Any]:
    """Return the named values of a call, and those of a dictionary in front of them.

    Raises
    ------
    TypeError
        it is not a dictionary; the message says how to write the call
    """
    if not isinstance(first, Mapping):
        raise TypeError(f"{call} takes names and values: write {call}(a=1) or {call}({{'a': 1}})")
    return {**{str(name): value for name, value in first.items()}, **named}


class OfTrial:
    """An attribute that a logger has from its trial; or one that neither has, but other trackers.

    A ``__getattr__`` would do as much, and make each log call an eighth slower: with one, Python
    remembers no more where it found an attribute.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, logger: Any, owner: type) -> Any:
        if logger is not None and self._name not in _INSTEAD:
            return getattr(logger.trial, self._name)
        message = unknown_attribute(owner.__name__, self._name, "trial")
        raise AttributeError(message, name=self._name, obj=logger)


def with_attributes_of(kind: Callable[[], object]) -> Callable[[type[_Class]], type[_Class]]:
    """Give a class of loggers the public attributes of what they log, see :class:`OfTrial`.

    Parameters
    ----------
    kind
        makes one of what they log
    """

    def decorate(cls: type[_Class]) -> type[_Class]:
        for name in {*dir(kind()), *_INSTEAD}.difference(dir(cls)):
            if not name.startswith("_") or name == "_hash":  # by which backends know a trial
                setattr(cls, name, OfTrial(name))
        return cls

    return decorate
