"""How Sphinx builds the documentation: ``make docs``, or any sphinx-build on this folder."""

import sys
from pathlib import Path
from typing import Any

# The package beside this folder is the one documented, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import track

project = "Track"
author = "The Track authors"
copyright = f"2026, {author}"  # noqa: A001 - the name Sphinx reads
release = version = track.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

html_theme = "furo"
html_title = f"Track {release}"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
# Optional packages need not be installed to read about what uses them.
autodoc_mock_imports = ["cryptography", "lmdb", "psycopg2", "torch"]

napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False

myst_heading_anchors = 3


def skip_field_aliases(
    _app: Any, _what: str, _name: str, member: Any, skip: bool, _options: Any
) -> bool:
    """Leave out what every named tuple says of its fields by itself."""
    return skip or str(member.__doc__).startswith("Alias for field number")


def setup(app: Any) -> None:
    """Register the above."""
    app.connect("autodoc-skip-member", skip_field_aliases)
