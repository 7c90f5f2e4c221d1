"""A drop-in replacement for TensorBoard's ``SummaryWriter``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from track.integrations.run import LazyRun
from track.media import Audio, Figure, Histogram, Image, Text
from track.media.medium import as_array


class SummaryWriter:
    """Logs to a trial what a script logs to TensorBoard.

    Parameters
    ----------
    log_dir, comment
        give the trial its default name: the last part of ``log_dir``, followed by ``comment``
    purge_step, max_queue, flush_secs, filename_suffix
        are accepted and ignored
    to
        where to log, see :class:`track.integrations.run.Run`
    settings
        further arguments of :class:`~track.integrations.run.Run`

    Notes
    -----
    Scalars, groups of scalars (as ``main_tag/key``), hyperparameters, texts, images, figures,
    histograms and audio are logged. Other kinds (graphs, meshes, …) are not recorded; a warning
    says so once per kind.
    """

    def __init__(  # noqa: PLR0917 - TensorBoard's signature
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
        *,
        to: Any = None,
        **settings: Any,
    ) -> None:
        self.log_dir = os.fspath(log_dir) if log_dir is not None else ""
        name = (os.path.basename(self.log_dir.rstrip(os.sep)) + comment) or None
        self.run = LazyRun(to, **{"name": name, **settings})

    def get_logdir(self) -> str:
        """Return ``log_dir`` as it was given; nothing is written there."""
        return self.log_dir

    def add_scalar(  # noqa: PLR0917 - TensorBoard's signature
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Log one value."""
        self.run.log({tag: scalar_value}, global_step)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Log several values, named ``main_tag/key``."""
        self.run.log({main_tag: dict(tag_scalar_dict)}, global_step)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Log a text."""
        self.run.media(tag, lambda: Text(text_string), global_step)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Log an image whose axes are in the order of `dataformats`."""
        self.run.media(tag, lambda: Image(img_tensor, axes=dataformats), global_step)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Log several images at one step."""
        one = dataformats.replace("N", "")
        self.run.media(tag, lambda: [Image(image, axes=one) for image in img_tensor], global_step)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Log one or several matplotlib figures and, by default, close them."""
        figures = figure if isinstance(figure, list) else [figure]
        self.run.media(tag, lambda: [Figure(each) for each in figures], global_step)
        if close and (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
            for each in figures:
                pyplot.close(each)

    def add_histogram(  # noqa: PLR0917 - TensorBoard's signature
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Log the distribution of values, in bins of equal width."""
        count = bins if isinstance(bins, int) else max_bins or 64
        self.run.media(tag, lambda: Histogram(values, count), global_step)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Log single-channel audio with values from -1 to 1."""
        self.run.media(tag, lambda: Audio(as_array(snd_tensor).ravel(), sample_rate), global_step)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Any = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """Log parameters and results; once a value has been logged, log parameters as metadata."""
        self.run.configure(hparam_dict)
        self.run.log(dict(metric_dict), global_step)

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith("add_"):
            raise AttributeError(f"SummaryWriter has no attribute {name!r}")
        kind = name.removeprefix("add_")

        def not_kept(*args: Any, **kwargs: Any) -> None:
            self.run.miss(f"{kind}: only scalars, texts, images, histograms and audio are kept")

        return not_kept

    def flush(self) -> None:
        """Do nothing: logged values are already recorded."""

    def close(self) -> None:
        """Finish the trial."""
        self.run.finish()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.run.finish(*exc_info)
