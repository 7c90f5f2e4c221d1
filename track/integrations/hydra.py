"""A callback for Hydra, configured by name.

::

    hydra:
      callbacks:
        track:
          _target_: track.integrations.hydra.TrackCallback
          to: file:/data/report.json
"""

from __future__ import annotations

import os
import threading
from typing import Any

from track.integrations.packages import need
from track.integrations.trainings import ManyRuns

_callback = need("hydra.experimental.callback", names=["Callback"], install="hydra-core")

_UID = "ORION_TRIAL_ID"
_BACKEND = "TRACK_LOG_BACKEND_NAME"


class TrackCallback(ManyRuns, _callback.Callback):  # type: ignore[misc,name-defined]  # of Hydra
    """Creates a trial for each job, with its configuration as parameters.

    Parameters
    ----------
    to
        where to log: the URI of a store, with an absolute path because Hydra may change folders
    settings
        further arguments of :class:`track.integrations.run.Run`

    Notes
    -----
    In the function of the job, ``TrackClient()`` without arguments logs to that trial. Failures
    are recorded with their traceback.
    """

    def __init__(self, to: Any = None, **settings: Any) -> None:
        super().__init__(to, **settings)
        self._before: dict[str, str | None] = {}
        """Environment variables as they were before the job."""

    def on_job_start(self, config: Any, **kwargs: Any) -> None:
        run = self.begin(threading.get_ident(), name=_get(config, "hydra", "job", "name"))
        run.configure({key: config[key] for key in config if key != "hydra"})
        overrides = _get(config, "hydra", "overrides", "task")
        run.describe({"overrides": [] if overrides is None else list(overrides)})
        run.start()
        known = {_UID: run.uid, _BACKEND: self.to}
        self._before = {variable: os.environ.get(variable) for variable in known}
        _set(known)

    def on_job_end(self, config: Any, job_return: Any, **kwargs: Any) -> None:
        _set(self._before)
        thread = threading.get_ident()
        result = getattr(job_return, "_return_value", None)
        if isinstance(result, BaseException):
            self.end(thread, type(result), result, result.__traceback__)
            return
        run = self.run_of(thread)
        if run is not None and isinstance(result, (int, float)) and not isinstance(result, bool):
            run.log({"result": result})
        self.end(thread)


def _set(variables: dict[str, str | None]) -> None:
    for variable, value in variables.items():
        if value is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = value


def _get(config: Any, *names: str) -> Any:
    """Return a part of a configuration, None if it is missing or not yet resolvable."""
    try:
        for name in names:
            config = config[name]
    except Exception:  # noqa: BLE001 - omegaconf raises many kinds of errors for missing values
        return None
    return config
