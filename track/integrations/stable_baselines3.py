"""A writer for Stable-Baselines3: ``model.set_logger(Logger(None, [TrackWriter("file:…")]))``."""

from __future__ import annotations

from functools import partial
from typing import Any

from track.integrations.packages import need
from track.integrations.run import LazyRun
from track.media import Figure, Image, Medium

_logger = need("stable_baselines3.common.logger", names=["KVWriter"], install="stable-baselines3")


class TrackWriter(_logger.KVWriter):  # type: ignore[misc,name-defined]  # of Stable-Baselines3
    """Logs everything that a model logs; the step is the number of time steps.

    It takes the parameters of :class:`track.integrations.run.Run`.
    """

    def __init__(self, to: Any = None, **settings: Any) -> None:
        self.run = LazyRun(to, **settings)

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0
    ) -> None:
        values: dict[str, Any] = {}
        for name, value in key_values.items():
            if "track" in (key_excluded.get(name) or ()):
                continue
            if hasattr(value, "hparam_dict"):
                self.run.configure(value.hparam_dict)
            elif type(value).__module__.startswith("stable_baselines3"):
                self.run.media(name, partial(_medium_of, value), step)
            else:
                values[name] = value
        self.run.log(values, step)

    def close(self) -> None:
        self.run.finish()


def _medium_of(value: Any) -> Medium:
    """Convert a figure or an image of Stable-Baselines3 to a medium."""
    if hasattr(value, "figure"):
        return Figure(value.figure)
    if hasattr(value, "image"):
        return Image(value.image, axes=value.dataformats)
    raise TypeError(f"{type(value).__name__} is not supported")
