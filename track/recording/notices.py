"""Log alerts, and define the values that summarise metrics."""

from __future__ import annotations

from typing import Any

from track.persistence.protocol import Protocol
from track.structure import Trial


class NoticeLogger:
    """Adds alerts and definitions of metrics to a :class:`~track.logger.TrialLogger`."""

    trial: Trial
    protocol: Protocol

    def insert(self, parameters: dict[str, Any] | None = None) -> None:
        """Insert the trial if it is still waiting for its arguments."""
        raise NotImplementedError

    def alert(self, title: str, text: str = "", level: Any = "warning") -> None:
        """Raise an alert: ``track show`` and ``track ui`` show it with the trial.

        Nothing is sent; ``track watch --alert`` runs a command for each new alert.

        Parameters
        ----------
        title, text
            what happened, in one line and in detail
        level
            ``info``, ``warning`` or ``error``

        Raises
        ------
        ValueError
            the level is unknown
        """
        self.insert()
        self.protocol.raise_trial_alert(self.trial, title, text, level)

    def define_metric(self, name: str, summary: str | None = None, goal: str | None = None) -> None:
        """Define which value summarises a metric in lists of trials and in conditions.

        Parameters
        ----------
        name
            the name of the metric, or a pattern such as ``val/*``; it may be logged later
        summary
            ``last``, ``min``, ``max``, or ``best``, which needs a goal; by default ``best`` with a
            goal, and else ``last``
        goal
            the direction of improvement: ``minimize`` or ``maximize``

        Raises
        ------
        ValueError
            the summary or goal is unknown, or ``best`` is given without a goal
        """
        self.insert()
        self.protocol.define_trial_metric(self.trial, name, summary, goal)
