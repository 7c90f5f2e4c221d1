"""A tracker for Accelerate: import this module, then use ``Accelerator(log_with="track")``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from track.integrations.packages import need
from track.integrations.run import LazyRun
from track.logger import TrialLogger
from track.media import Image, Table

_tracking = need(
    "accelerate.tracking", names=("GeneralTracker", "on_main_process"), install="accelerate"
)
_on_main_process = _tracking.on_main_process


class TrackTracker(_tracking.GeneralTracker):  # type: ignore[misc,name-defined]  # of Accelerate
    """Logs everything that an ``Accelerator`` logs, in the main process.

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
        self.run = LazyRun(**{"project": run_name, **settings})

    @property
    def tracker(self) -> TrialLogger:
        """Return the logger of the trial."""
        return self.run.trial

    @_on_main_process  # type: ignore[untyped-decorator]  # of Accelerate
    def store_init_configuration(self, values: Any) -> None:
        self.run.configure(values)

    @_on_main_process  # type: ignore[untyped-decorator]
    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
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
        """Log a table."""
        table = dataframe if dataframe is not None else data
        names = None if dataframe is not None else columns
        self.run.media(table_name, lambda: Table(table, names), step)

    @_on_main_process  # type: ignore[untyped-decorator]
    def log_images(self, values: Mapping[str, Any], step: int | None, **kwargs: Any) -> None:
        """Log a batch or a list of images under each name."""
        for name, images in values.items():
            self.run.media(name, partial(_pictures, images), step)

    @_on_main_process  # type: ignore[untyped-decorator]
    def finish(self) -> None:
        if self.run.is_open:
            self.run.finish()


def _pictures(images: Iterable[Any]) -> list[Image]:
    return [Image(one) for one in images]


if hasattr(_tracking, "register_tracker_class"):
    _tracking.register_tracker_class(TrackTracker)
