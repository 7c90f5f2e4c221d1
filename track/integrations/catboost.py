"""A callback for CatBoost: ``model.fit(…, callbacks=[TrackCallback("file:report.json")])``."""

from __future__ import annotations

from typing import Any

from track.integrations.trainings import Trainings


class TrackCallback(Trainings):
    """Logs the results of each iteration as ``<data set>/<metric>``.

    Its parameters are those of :class:`track.integrations.trainings.Trainings`. CatBoost says
    neither when a training begins nor when it ends: an iteration that is not the next one begins
    another trial, and ``with TrackCallback(…) as callback:`` ends the last.
    """

    _last = 0

    def after_iteration(self, info: Any) -> bool:
        run = self.run_of(self) if info.iteration > self._last else None
        if run is None:
            run = self.begin(self)
        self._last = info.iteration
        run.start_once()
        values = {
            f"{data}/{metric}": history[-1]
            for data, metrics in (info.metrics or {}).items()
            for metric, history in metrics.items()
        }
        run.log(values, info.iteration - 1)
        return True
