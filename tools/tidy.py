"""Check what no linter does: the length of files and functions, clocks in folds, strays.

Run it as ``python tools/tidy.py [ROOT]``. Each violation is one line, ``path:line: what, and what
to do``; the exit code is 1 when there is any.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 70

PAGE = "track/ui/static"
"""The page that a browser shows; what others wrote is in its folder ``vendor``."""

FOLDERS = ("track", "tests", "tools", "examples")
"""Where the project's Python files are."""

AT_ROOT = {
    *(".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "docs"),
    *("pyproject.toml", *FOLDERS),
}
"""What there is at the root: anything else was left there by a test or a tool."""

PURE = "track/projections/"
"""Folds: what they need must be in the events."""

IMPURE_CALLS = {"input", "now", "open", "today", "utcnow"}


class Violation(NamedTuple):
    """One broken rule."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def check(root: Path) -> list[Violation]:
    """Return what is wrong in the tree below ``root``."""
    violations = [
        Violation(
            name, 1, "it does not belong at the root: stop what makes it, or name it in AT_ROOT"
        )
        for name in sorted(entries_of(root) - AT_ROOT)
    ]
    for folder in FOLDERS:
        for file in sorted((root / folder).rglob("*.py")):
            violations += check_file(root, file)
    for file in sorted((root / PAGE).glob("*.*s")):
        source = file.read_text(encoding="utf-8")
        path = file.relative_to(root).as_posix()
        violations += [Violation(path, line, message) for line, message in too_long(source)]
    return violations


def entries_of(root: Path) -> set[str]:
    """Return the names in a folder that Git knows or would take; none outside of a repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    entries = {path.partition("/")[0] for path in done.stdout.split("\0") if path}
    return {name for name in entries if root.joinpath(name).exists()}  # it may be removed just now


def check_file(root: Path, file: Path) -> list[Violation]:
    """Return what is wrong in one file."""
    path = file.relative_to(root).as_posix()
    source = file.read_text(encoding="utf-8")
    found = [*too_long(source)]
    if path.startswith("track/"):
        tree = ast.parse(source, path)
        found += long_functions(tree)
        if path.startswith(PURE):
            found += impure_calls(tree)
    return [Violation(path, line, message) for line, message in sorted(found)]


Found = Iterator[tuple[int, str]]
"""Line and message of each violation."""


def too_long(source: str) -> Found:
    """Limit the length of files."""
    count = len(source.splitlines())
    if count > MAX_FILE_LINES:
        yield count, f"the file has {count} lines, split it below {MAX_FILE_LINES}"


def long_functions(tree: ast.AST) -> Found:
    """Limit the length of functions, docstring included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > MAX_FUNCTION_LINES:
                limit = MAX_FUNCTION_LINES
                yield node.lineno, f"{node.name} has {count} lines, split it below {limit}"


def impure_calls(tree: ast.AST) -> Found:
    """Refuse clocks and files in pure modules, wherever the function comes from."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                if name in IMPURE_CALLS:
                    yield node.lineno, f"{name}() in a pure module, put its result into the event"


def main(arguments: list[str]) -> int:
    """Print every violation; return the exit code."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    violations = check(root)
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
