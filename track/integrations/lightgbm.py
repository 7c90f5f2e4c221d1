"""A callback for LightGBM: ``lgb.train(…, callbacks=[TrackCallback("file:report.json")])``."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from track.integrations.trainings import Trainings

_DEVIATION = 4
"""The index of the standard deviation in a result of a cross-validation."""


class TrackCallback(Trainings):
    """Logs the results of each iteration as ``<data set>/<metric>``, on the first of ``machines``.

    It takes the parameters of :class:`track.integrations.trainings.Trainings`.
    """

    order = 25
    """Run after LightGBM's callbacks that record results and before early stopping."""
    before_iteration = False

    def __call__(self, env: Any) -> None:
        if not _is_first(env.params):
            return
        run = None if env.iteration == env.begin_iteration else self.run_of(env.model)
        if run is None:
            run = self.begin(env.model)
            run.configure(env.params)
        values: dict[str, Any] = {}
        for result in env.evaluation_result_list or ():
            name = f"{result[0]}/{result[1]}"
            values[name] = result[2]
            for deviation in result[_DEVIATION:]:
                if deviation is not None:
                    values[f"{name}/stdv"] = deviation
        run.log(values, env.iteration)
        if env.iteration + 1 >= env.end_iteration:
            self.end(env.model)


def _is_first(params: Mapping[str, Any]) -> bool:
    """Return whether this process is the first of the ``machines`` that train a model.

    LightGBM does not pass the rank on. Machines on one host differ by port, those that share a port
    by address.
    """
    host, _, port = str(params.get("machines", "")).partition(",")[0].partition(":")
    if port and port != str(params.get("local_listen_port", port)):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))  # succeeds for addresses of this host and for an empty one
        except OSError:
            return False
    return True
