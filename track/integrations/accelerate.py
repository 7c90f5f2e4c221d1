"""A tracker for Accelerate: ``Accelerator(log_with="track")`` after this import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from track.integrations.packages import need
from track.integrations.run import Run
from track.logger import TrialLogger

_tracking = need(
    "accelerate.tracking", names=("GeneralTracker", "on_main_process"), install="accelerate"
)
_on_main_process = _tracking.on_main_process


class TrackTracker(_tracking.GeneralTracker):  # type: ignore[misc,name-defined]  # of Accelerate
    """Logs what an ``Accelerator`` logs, in the main process.

    Parameters
    ----------
    run_name
        the project of the trial, as given to ``init_trackers``
    settings
        arguments of :class:`track.integrations.run.Run`, as given in
        ``init_trackers(…, init_kwargs={"track": {…}})``
    """

    name = "track"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, run_name: str = "accelerate", **settings: Any) -> None:
        super().__init__()
        self.run = Run(**{"project": run_name, **settings})

    @property
    def tracker(self) -> TrialLogger:
        """Return the logger of the trial."""
        return self.run.trial

    @_on_main_process  # type: ignore[untyped-decorator]  # of Accelerate
    def store_init_configuration(self, values: Any) -> None:
        self.run.configure(values)

    @_on_main_process  # type: ignore[untyped-decorator]
    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self.run.start_once()
        self.run.log(values, step)

    @_on_main_process  # type: ignore[untyped-decorator]
    def log_table(
        self,
        table_name: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep a table as metadata."""
        if dataframe is not None:
            columns, data = list(dataframe.columns), dataframe.to_numpy().tolist()
        self.run.metadata({table_name: {"columns": columns, "data": data, "step": step}})

    @_on_main_process  # type: ignore[untyped-decorator]
    def log_images(self, values: Mapping[str, Any], step: int | None, **kwargs: Any) -> None:
        """Say that images are not kept."""
        for name in values:
            self.run.miss(f"{name!r}: images are not kept; log_file keeps the file of one")

    @_on_main_process  # type: ignore[untyped-decorator]
    def finish(self) -> None:
        if self.run.is_open:
            self.run.finish()


if hasattr(_tracking, "register_tracker_class"):
    _tracking.register_tracker_class(TrackTracker)
