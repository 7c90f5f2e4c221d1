"""The example of each integration runs, where its framework is installed."""

from importlib.util import find_spec

import pytest

from tests.integrations.support import ROOT, run_program, trials_in
from track.structure import Status

FOLDER = ROOT / "examples" / "integrations"
NAMES = sorted(path.stem.removeprefix("with_") for path in FOLDER.glob("with_*.py"))
MODULES = {name: name for name in NAMES} | {
    "accelerate": "accelerate torch",
    "ignite": "ignite torch",
    "keras": "keras torch",
    "lightning": "lightning torch",
    "transformers": "transformers accelerate torch",
    "tensorboard": "",
    "wandb": "",
}
"""What each example needs."""


@pytest.mark.parametrize("name", MODULES)
def test_the_example_trains_and_is_recorded(name):
    """As its page says."""
    missing = [module for module in MODULES[name].split() if find_spec(module) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    run_program(FOLDER / f"with_{name}.py")
    trials = trials_in("file:report.json")
    assert trials != []
    for trial in trials:
        assert trial.status == Status.Completed
        assert trial.project_id == "examples"
        assert trial.metrics != {}
        assert trial.parameters != {}


def test_every_integration_has_an_example_and_a_page():
    """And is in the table of them."""
    folder = ROOT / "track" / "integrations"
    helpers = {
        "__init__",
        "optuna_storage",
        "packages",
        "parameters",
        "run",
        "trainings",
        "wandb_data",
    }
    names = {path.stem for path in folder.glob("*.py")} - helpers
    pages = ROOT / "docs" / "integrations"
    assert set(NAMES) == names
    assert {path.stem for path in pages.glob("*.md")} == {*names, "index"}
    table = (pages / "index.md").read_text(encoding="utf-8")
    assert all(
        f"({name}.md)" in table and f"`track.integrations.{name}`" in table for name in names
    )
