"""A callback for CatBoost: ``model.fit(…, callbacks=[TrackCallback("file:report.json")])``."""

from __future__ import annotations

import threading
from typing import Any

from track.integrations.trainings import Trainings


class TrackCallback(Trainings):
    """Logs the results of each iteration as ``<data set>/<metric>``.

    It takes the parameters of :class:`track.integrations.trainings.Trainings`. CatBoost reports
    neither the beginning nor the end of a training: an iteration number that does not increase
    begins a new trial, and leaving ``with TrackCallback(…) as callback:`` finishes the last one.
    """

    def after_iteration(self, info: Any) -> bool:
        thread = threading.current_thread()
        run = self.run_of(thread)
        if run is None or info.iteration <= run.last_step:
            run = self.begin(thread)
        run.last_step = info.iteration
        values = {
            f"{data}/{metric}": history[-1]
            for data, metrics in (info.metrics or {}).items()
            for metric, history in metrics.items()
        }
        run.log(values, info.iteration - 1)
        return True
