"""Split a framework's settings into parameters of a trial and metadata of a run.

Parameters identify a trial, so repeating a training is a new run of the same trial. Frameworks
report hundreds of settings, some of them late and some different in every run. All integrations
follow the same rules:

1. Settings reported before the trial is inserted (when training starts, or when the first value is
   logged) become its parameters; later ones become metadata.
2. Settings that differ between runs of the same training are metadata: paths, dates, ranks, hosts
   and devices. :data:`VOLATILE` lists their names; every integration accepts more.
3. Secrets are masked where their name or form gives them away.
4. Objects that are not plain values are logged as a text description: a class or a function by its
   name, any other object by its ``repr``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from track.loggable import loggable
from track.provenance.masking import HIDDEN, hide_in_text, names_a_secret

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
"""Names of settings, at any depth, that do not affect what is trained."""

_LONGEST = 250
"""The longest description of an object, in characters."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Settings(NamedTuple):
    """The settings of a training, split by purpose.

    Attributes
    ----------
    parameters
        settings that identify the training
    facts
        all other settings
    """

    parameters: dict[str, Any]
    facts: dict[str, Any]


def split(settings: Any, volatile: Collection[str] = ()) -> Settings:
    """Separate settings that identify a training from those that describe a single run.

    Parameters
    ----------
    settings
        a mapping, a namespace or a dataclass, possibly nested; anything else is ignored
    volatile
        names of further settings that do not identify it, in addition to :data:`VOLATILE`
    """
    known = _known(settings)
    return _split(known, VOLATILE.union(volatile))


def shown(settings: Any) -> dict[str, Any]:
    """Return settings in a form that can be logged, with secrets masked."""
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
    """Return a value with the secrets in its texts masked."""
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
    """Return a text describing an object that is the same in every process."""
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str):
        return f"{getattr(value, '__module__', '')}.{name}"
    try:
        text = str(_ADDRESS.sub("", repr(value)))
    except Exception:  # noqa: BLE001 - any `repr` may fail; the type is always known
        text = f"<{type(value).__module__}.{type(value).__qualname__}>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
