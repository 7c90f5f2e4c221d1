"""Have other trackers write small runs, for the tests of importers.

Run it in an environment that has them (``make test-integrations`` makes one)::

    python tools/make_import_samples.py FOLDER

Each tool logs the same few values into a folder of its name, without a network.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 3
CONFIG: dict[str, Any] = {"lr": 0.1, "optimizer": {"name": "sgd"}, "layers": [8, 4]}

PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a494441"
    "54789c636000000002000148afa4710000000049454e44ae426082"
)
"""A black pixel as PNG."""


def loss_at(step: int) -> float:
    """Return the loss that every tool logs at a step."""
    return 1 / (step + 1)


def make_wandb(folder: Path) -> None:
    """Write a run that is resumed once, with a file, a picture and a histogram."""
    import wandb

    settings = wandb.Settings(
        mode="offline",
        silent=True,
        disable_git=True,
        save_code=False,
        console="off",
        host="host",
        x_disable_meta=True,
        x_save_requirements=False,
    )
    for part in range(2):
        with wandb.init(
            dir=folder,
            project="digits",
            entity="team",
            id="run1",
            name="first",
            group="sweep",
            notes="what for",
            tags=["baseline"],
            config=CONFIG,
            resume="allow",
            settings=settings,
        ) as run:
            for step in range(part * STEPS, (part + 1) * STEPS):
                run.log({"loss": loss_at(step), "train": {"accuracy": step / 10}}, step=step)
            run.config.update({"late": part}, allow_val_change=True)
            if part == 0:
                run.log({"weights": wandb.Histogram([1, 2, 2, 3], num_bins=2), "bad": float("nan")})
            run.summary["best"] = 0.25
            notes = Path(run.dir) / "notes.txt"
            notes.write_text(f"part {part}\n")
            run.save(str(notes), base_path=run.dir, policy="now")


def make_wandb_media(folder: Path) -> None:
    """Write a run with each kind of media that is imported."""
    import numpy as np
    import wandb

    settings = wandb.Settings(
        mode="offline",
        silent=True,
        disable_git=True,
        save_code=False,
        console="off",
        x_disable_meta=True,
        x_save_requirements=False,
    )
    picture = np.zeros((4, 6, 3), "uint8")
    sound = folder / "sound.wav"
    write_sound(sound)
    with wandb.init(
        dir=folder, project="digits", id="run2", name="shown", settings=settings
    ) as run:
        run.log({"loss": 1.0, "nested": {"picture": wandb.Image(picture, caption="black")}}, step=3)
        several = [wandb.Image(picture), wandb.Image(picture + 9, caption="grey")]
        run.log({"pictures": several, "sound": wandb.Audio(str(sound), caption="still")}, step=4)
        run.log({"table": wandb.Table(columns=["a", "b"], data=[[1, "x"]])}, step=5)
        run.log({"page": wandb.Html("<b>x</b>", inject=False)}, step=6)
        run.log({"counts": wandb.Histogram([1, 2, 2, 3], num_bins=2)}, step=7)
    sound.unlink()


def make_trackio_media(folder: Path) -> None:
    """Write a run with each kind of media that is imported."""
    os.environ["TRACKIO_DIR"] = str(folder)
    import numpy as np
    import trackio

    trackio.init(project="digits", name="shown", embed=False)
    picture = trackio.Image(np.zeros((4, 6, 3), "uint8"), caption="black")
    trackio.log({"loss": 1.0, "picture": picture})
    silence = np.zeros(16, "int16")
    trackio.log({"sound": trackio.Audio(silence, sample_rate=8000, format="wav")})
    trackio.log({"table": trackio.Table(data=[[1, "x"]], columns=["a", "b"])})
    trackio.log({"counts": trackio.Histogram([1, 2, 2, 3])})
    trackio.finish()


def write_sound(path: Path) -> None:
    """Write a short silence."""
    import wave

    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(32))


def make_trackio(folder: Path) -> None:
    """Write two runs, one of which is resumed."""
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio

    for name, resume in (("first", "never"), ("second", "never"), ("first", "must")):
        trackio.init(
            project="digits", name=name, group="sweep", config=CONFIG, resume=resume, embed=False
        )
        for step in range(STEPS):
            trackio.log({"loss": loss_at(step), "train": {"accuracy": step / 10}})
        trackio.finish()


def make_sacred(folder: Path) -> None:
    """Write a run that ends, and one that fails."""
    from sacred import SETTINGS, Experiment
    from sacred.observers import FileStorageObserver

    SETTINGS.HOST_INFO.INCLUDE_GPU_INFO = False
    SETTINGS.CAPTURE_MODE = "no"
    for fails in (False, True):
        experiment = Experiment("digits", save_git_info=False)
        experiment.observers.append(FileStorageObserver(str(folder)))
        experiment.add_config(fails=fails, **CONFIG)

        @experiment.main
        def main(_run: Any, fails: bool) -> float:
            for step in range(STEPS):
                _run.log_scalar("loss", loss_at(step), step)
            notes = folder / "notes.txt"
            notes.write_text("some notes\n")
            _run.add_artifact(str(notes))
            notes.unlink()
            if fails:
                raise ValueError("the loss is too high")
            return 0.5

        try:
            experiment.run()
        except ValueError as error:
            print("sacred: as intended:", error)


def make_clearml(folder: Path) -> None:
    """Write a task with an artifact and a picture."""
    os.environ["CLEARML_CACHE_DIR"] = str(folder)
    import numpy as np
    from clearml import Task

    Task.set_offline(True)
    task = Task.init(
        project_name="digits",
        task_name="first",
        tags=["baseline"],
        auto_connect_frameworks=False,
        auto_connect_streams=False,
        auto_resource_monitoring=False,
    )
    task.set_comment("what for")
    task.connect(dict(CONFIG))
    logger = task.get_logger()
    for step in range(STEPS):
        logger.report_scalar("train", "loss", loss_at(step), step)
        logger.report_scalar("accuracy", "accuracy", step / 10, step)
    logger.report_image("pic", "a", 1, image=np.zeros((4, 4, 3), "uint8"))
    notes = folder / "notes.txt"
    notes.write_text("some notes\n")
    task.upload_artifact("notes", str(notes))
    task.flush(wait_for_uploads=True)
    task.close()


def make_dvclive(folder: Path) -> None:
    """Write a run with a folder of its own."""
    from dvclive import Live

    with Live(str(folder / "dvclive"), save_dvc_exp=False, dvcyaml=None) as live:
        live.log_params(CONFIG)
        for step in range(STEPS):
            live.log_metric("loss", loss_at(step), timestamp=True)
            live.log_metric("train/accuracy", step / 10)
            live.next_step()
        live.summary["best"] = 0.25


def make_aim(folder: Path) -> None:
    """Write a run with each kind of value, and an archived one."""
    import numpy as np
    from aim import Audio, Distribution, Figure, Image, Run, Text

    quiet: dict[str, Any] = {"system_tracking_interval": None, "capture_terminal_logs": False}
    run = Run(repo=str(folder), experiment="digits", **quiet)
    run.name, run.description = "first", "what for"
    run.add_tag("baseline")
    run["hparams"] = CONFIG
    run["__system_params"] = {
        "arguments": ["train.py", "--token", "hidden"],
        "env_variables": {"HOME": "/home/somebody"},
        "git_info": {"branch": "main", "commit": {"hash": "0a1b2c3"}},
    }
    for step in reversed(range(STEPS)):
        run.track(loss_at(step), name="loss", step=step, epoch=0, context={"subset": "train"})
        run.track({"accuracy": step / 10}, step=step)
        run.track(step, name="error", step=step, context={"subset": "val", "fold": 1})
        run.track(step, name="__system__cpu", step=step)
    run.track(float("nan"), name="accuracy", step=STEPS)
    picture = np.zeros((4, 6, 3), "uint8")
    run.track(Image(picture, caption="black"), name="picture", step=1)
    run.track([Image(picture), Image(picture + 9, caption="grey")], name="pictures", step=1)
    run.track(Text("a text"), name="text", step=2)
    run.track(Distribution([1, 2, 2, 3], bin_count=2), name="counts", step=2)
    sound = folder / "sound.wav"
    write_sound(sound)
    run.track(Audio(str(sound), format="wav", caption="still"), name="sound", step=2)
    sound.unlink()
    try:
        from plotly.graph_objects import Figure as Plot
    except ImportError:
        print("aim: without plotly, no figure")
    else:
        run.track(Figure(Plot()), name="figure", step=2)
    run.log_warning("the loss is high")
    notes = folder / "notes.txt"
    notes.write_text("some notes\n")
    run.set_artifacts_uri(f"file://{folder}/artifacts")
    run.log_artifact(str(notes), block=True)
    notes.unlink()
    run.close()
    hidden = Run(repo=str(folder), experiment="digits", **quiet)
    hidden.name, hidden.archived = "hidden", True
    hidden.track(1.0, name="loss")
    hidden.close()


def make_neptune(folder: Path) -> None:
    """Write runs of Neptune 2 and 3 as neptune-exporter does, by the schema in its documentation.

    It is not on PyPI, and exports only from Neptune's servers, so this is our own writing.
    """
    from decimal import Decimal

    import pyarrow as pa
    from pyarrow import parquet

    histogram = pa.struct(
        [
            ("type", pa.string()),
            ("edges", pa.list_(pa.float64())),
            ("values", pa.list_(pa.float64())),
        ]
    )
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("project_id", "run_id")),
            *((name, pa.string()) for name in ("attribute_path", "attribute_type")),
            ("step", pa.decimal128(18, 6)),
            ("timestamp", pa.timestamp("ms", "UTC")),
            ("int_value", pa.int64()),
            ("float_value", pa.float64()),
            ("string_value", pa.string()),
            ("bool_value", pa.bool_()),
            ("datetime_value", pa.timestamp("ms", "UTC")),
            ("string_set_value", pa.list_(pa.string())),
            ("file_value", pa.struct([("path", pa.string())])),
            ("histogram_value", histogram),
        ]
    )
    project, start_ms = "team/digits", 1_795_784_000_000
    home = "team_digits-0123456789abcdef"

    def single(path: str, kind: str, value: Any) -> dict[str, Any]:
        return {"attribute_path": path, "attribute_type": kind, f"{kind}_value": value}

    def series(path: str, kind: str, step: float, value: Any) -> dict[str, Any]:
        column = "float_value" if kind == "float_series" else kind.replace("series", "value")
        when = start_ms + 1000 + round(1000 * step)
        exact = Decimal(str(step))
        return {
            "attribute_path": path,
            "attribute_type": kind,
            "step": exact,
            "timestamp": when,
            column: value,
        }

    def write(run: str, *parts: list[dict[str, Any]]) -> None:
        target = folder / "data" / home
        target.mkdir(parents=True, exist_ok=True)
        for number, rows in enumerate(parts):
            table = pa.Table.from_pylist(
                [{"project_id": project, "run_id": run, **row} for row in rows], schema
            )
            name = f"{run}-fedcba9876543210_part_{number}.parquet"
            parquet.write_table(table, target / name, compression="snappy")

    files = folder / "files" / home / "SAN-1"
    (files / "set").mkdir(parents=True)
    (files / "notes.txt").write_text("some notes\n")
    (files / "set" / "inner.txt").write_text("inner\n")
    (files / "picture.png").write_bytes(PICTURE)
    steps = [series("train/loss", "float_series", step, loss_at(step)) for step in range(STEPS)]
    write(
        "SAN-1",
        [
            *(single("sys/id", "string", "SAN-1"), single("sys/name", "string", "first")),
            *(
                single("sys/description", "string", "what for"),
                single("sys/failed", "bool", value=True),
            ),
            *(single("sys/tags", "string_set", ["baseline"]), single("sys/owner", "string", "me")),
            single("sys/creation_time", "datetime", start_ms),
            single("sys/ping_time", "datetime", start_ms + 60_000),
            *(single("parameters/lr", "float", 0.1), single("parameters/layers", "int", 2)),
            *(
                single("data/made", "datetime", start_ms),
                single("data/is_small", "bool", value=False),
            ),
            single("notes", "file", {"path": "SAN-1/notes.txt"}),
            single("gone", "file", {"path": "SAN-1/gone.txt"}),
            {**single("set", "file", {"path": "SAN-1/set"}), "attribute_type": "file_set"},
            *reversed(steps[1:]),
        ],
        [
            *steps[:1],
            series("train/half", "float_series", 0.5, float("nan")),
            series("note", "string_series", 1, "a text"),
            series("monitoring/0a1b/cpu", "float_series", 0, 12.5),
            series("monitoring/0a1b/stdout", "string_series", 0, "a line\n"),
            series(
                *("counts", "histogram_series", 2),
                {"type": "COUNTING", "edges": [0.0, 1.0, 2.0], "values": [1.0, 3.0]},
            ),
            series("pictures", "file_series", 1, {"path": "SAN-1/picture.png"}),
            series("texts", "file_series", 1, {"path": "SAN-1/notes.txt"}),
        ],
    )
    write(
        "my-run",
        [
            *(single("sys/id", "string", "SAN-2"), single("sys/name", "string", "an experiment")),
            *(
                single("sys/trashed", "bool", value=True),
                single("sys/creation_time", "datetime", 1),
            ),
        ],
    )


MAKERS: dict[str, Callable[[Path], None]] = {
    "aim": make_aim,
    "wandb": make_wandb,
    "wandb_media": make_wandb_media,
    "trackio": make_trackio,
    "trackio_media": make_trackio_media,
    "neptune": make_neptune,
    "sacred": make_sacred,
    "clearml": make_clearml,
    "dvclive": make_dvclive,
}


def main(target: str, *names: str) -> None:
    """Write the samples of some tools, by default of all."""
    logging.disable(logging.INFO)
    for name in names or MAKERS:
        folder = Path(target).resolve() / name
        folder.mkdir(parents=True)
        MAKERS[name](folder)
    for path in Path(target).rglob("debug*.log"):
        path.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
