"""Interpret how scripts write their calls: arguments, values, and names of other trackers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
    "log_artifacts": "{}.log_artifact('results')",
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
"""Name in other trackers -> the equivalent here, on a client or a trial."""


def unknown_attribute(owner: str, name: str, subject: str) -> str:
    """Return the message for a missing attribute, with the equivalent of another tracker's name.

    Parameters
    ----------
    owner
        the name of the object that lacks it
    name
        the name of the attribute
    subject
        the variable that scripts use for the client or trial
    """
    instead = _INSTEAD.get(name)
    hint = "" if instead is None else f": write {instead.format(subject)}"
    return f"{owner} has no attribute {name!r}{hint}"


def read_arguments(args: Any, more: Mapping[str, Any] | None = None) -> tuple[Any, dict[Any, Any]]:
    """Return the arguments as given, or as parsed, and a dictionary of them.

    Raises
    ------
    TypeError
        they are neither a parser nor a namespace nor a dictionary
    """
    if args is None:
        from argparse import Namespace

        return Namespace(**(more or {})), {}
    if hasattr(args, "parse_args"):
        args = args.parse_args()
    if isinstance(args, Mapping):
        return args, dict(args)
    if hasattr(args, "__dict__"):
        return args, dict(vars(args))
    raise TypeError(
        "arguments must be an ArgumentParser, a Namespace or a dictionary, not "
        f"{type(args).__name__}"
    )


def values_of(call: str, first: Any, named: dict[str, Any]) -> dict[str, Any]:
    """Return the named values of a call, and those of its dictionary argument.

    Raises
    ------
    TypeError
        the argument is not a dictionary; the message shows how to write the call
    """
    if not isinstance(first, Mapping):
        raise TypeError(f"{call} takes names and values: write {call}(a=1) or {call}({{'a': 1}})")
    return {**{str(name): value for name, value in first.items()}, **named}


def check_arguments(call: str, kind: type, given: Iterable[str], *more: str) -> None:
    """Refuse keyword arguments that neither a class nor the call that makes one of it takes.

    Parameters
    ----------
    call
        the name of the call
    kind
        the class
    given
        the names of the arguments
    more
        the names that the call takes itself

    Raises
    ------
    TypeError
        the call does not take one of them; the message lists what it takes
    """
    code = kind.__init__.__code__  # type: ignore[misc]  # of a class, not of an instance
    known = (*more, *code.co_varnames[1 : code.co_argcount])
    for name in given:
        if name not in known:
            shown = ", ".join(each for each in known if not each.startswith("_"))
            raise TypeError(f"{call} has no argument {name!r}: use one of {shown}")


def check_free(call: str, named: Mapping[str, Any], taken: tuple[str, ...]) -> None:
    """Refuse names that backends, which take values as keywords, have for other parameters.

    Raises
    ------
    TypeError
        a name is taken
    """
    for name in taken:
        if name in named:
            raise TypeError(
                f"{call} cannot take the name {name!r}, which each backend has for a parameter: "
                "choose another name"
            )


class OfTrial:
    """An attribute that a logger delegates to its trial, or that only other trackers have.

    A ``__getattr__`` would do the same, but make each log call an eighth slower: Python does not
    cache attribute lookups of classes that define one.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, logger: Any, owner: type) -> Any:
        if logger is not None and self._name not in _INSTEAD:
            return getattr(logger.trial, self._name)
        message = unknown_attribute(owner.__name__, self._name, "trial")
        raise AttributeError(message, name=self._name, obj=logger)


def with_attributes_of(kind: Callable[[], object]) -> Callable[[type[_Class]], type[_Class]]:
    """Add the public attributes of the logged objects to a class of loggers, see :class:`OfTrial`.

    Parameters
    ----------
    kind
        makes one of the logged objects
    """

    def decorate(cls: type[_Class]) -> type[_Class]:
        for name in {*dir(kind()), *_INSTEAD}.difference(dir(cls)):
            if not name.startswith("_") or name == "_hash":  # by which backends identify a trial
                setattr(cls, name, OfTrial(name))
        return cls

    return decorate
