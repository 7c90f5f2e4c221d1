"""Sort a framework's settings into parameters of a trial and metadata of a run.

Parameters identify a trial, so that the same training is the same trial, run again. Frameworks say
hundreds of settings, late, and among them what is different each time. The rule, which all
integrations share:

1. What is said until the trial is inserted (when training starts, or with the first value that is
   logged) are its parameters; what is said later is metadata.
2. What changes from run to run, though the training is the same, is metadata: paths, dates, ranks,
   hosts and devices. :data:`VOLATILE` has their names, and each integration takes more of them.
3. Secrets are hidden, as far as they can be told by their name or form.
4. Whatever is no value is described: a class or a function by its name, an object by its type.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from track.loggable import loggable
from track.persistence.masking import HIDDEN, hide_in_text, names_a_secret

VOLATILE = frozenset(
    (
        *("cache_dir", "checkpoint_dir", "ckpt_path", "default_root_dir", "dirpath", "log_dir"),
        *("logdir", "logging_dir", "output_dir", "root_dir", "save_dir", "work_dir", "workdir"),
        *("experiment_id", "job_id", "run_id", "run_name", "runid", "trial_id", "session"),
        *("created_at", "date", "datetime", "now", "start_time", "started_at", "time", "timestamp"),
        *("host", "hostname", "ip", "master_addr", "master_port", "node", "pid", "port", "ppid"),
        *("device", "devices", "gpu", "gpus", "local_rank", "local_process_index", "node_rank"),
        *("global_rank", "process_index", "rank", "world_size", "user", "username"),
        *("debug", "disable_tqdm", "log_level", "n_jobs", "num_workers", "nthread", "num_threads"),
        *("quiet", "report_to", "resume", "resume_from_checkpoint", "verbose", "verbosity"),
    )
)
"""Names of settings that tell nothing about what is trained; those of nested ones count, too."""

_LONGEST = 250
"""Characters of the description of an object."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Settings(NamedTuple):
    """What was said of a training.

    Attributes
    ----------
    parameters
        what identifies it
    facts
        the rest
    """

    parameters: dict[str, Any]
    facts: dict[str, Any]


def split(settings: Any, volatile: Collection[str] = ()) -> Settings:
    """Tell what identifies a training from what only describes one run of it.

    Parameters
    ----------
    settings
        a mapping, a namespace or a dataclass, maybe of others; anything else tells nothing
    volatile
        names that do not identify, beside :data:`VOLATILE`
    """
    known = _known(settings)
    return _split(known, VOLATILE.union(volatile))


def shown(settings: Any) -> dict[str, Any]:
    """Return settings as they can be logged, without secrets."""
    found: dict[str, Any] = _hidden(_known(settings))
    return found


def _known(settings: Any) -> dict[Any, Any]:
    """Return all settings as plain values."""
    known = loggable({"all": settings}, separator=None, otherwise=describe).taken.get("all")
    return known if isinstance(known, dict) else {}


def _split(settings: Mapping[Any, Any], volatile: Collection[str]) -> Settings:
    found = Settings({}, {})
    for name, value in settings.items():
        text = str(name)
        if isinstance(value, dict) and value:
            inner = _split(value, volatile)
            for part, values in zip(found, inner, strict=True):
                if values:
                    part[text] = values
        elif names_a_secret(text) and value is not None:
            found.facts[text] = HIDDEN
        elif text.lower() in volatile:
            found.facts[text] = _hidden(value)
        else:
            found.parameters[text] = _hidden(value)
    return found


def _hidden(value: Any) -> Any:
    """Return a value without the secrets in its texts."""
    if isinstance(value, str):
        return hide_in_text(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map(_hidden, value))
    if isinstance(value, dict):
        return {
            name: HIDDEN if item and names_a_secret(str(name)) else _hidden(item)
            for name, item in value.items()
        }
    return value


def describe(value: Any) -> str:
    """Return a text that stands for an object, the same in every process."""
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str):
        return f"{getattr(value, '__module__', '')}.{name}"
    try:
        text = str(_ADDRESS.sub("", repr(value)))
    except Exception:  # noqa: BLE001 - whatever an object does, its type is known
        text = f"<{type(value).__module__}.{type(value).__qualname__}>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
