"""Check what the linters cannot: layers, purity, sizes, prints, swallowed exceptions, strays.

Run it as ``python tools/tidy.py [ROOT]``. Each violation is one line, ``path:line: what, and what
to do``; the exit code is 1 when there is any. The tables come first: a new module gets its place
there, and nowhere else.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70

FOLDERS = ("track", "tests", "tools", "examples")
"""Where the project's Python files are."""


AT_ROOT = {
    *(".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "docs"),
    *("pyproject.toml", *FOLDERS),
}
"""What there is at the root: anything else was left there by a test or a tool."""


class Layer(NamedTuple):
    """The place of a top-level module or package of ``track``.

    It imports packages with lower numbers, and those of its own number named in ``beside``. When
    ``only`` is given, it imports nothing of ``track`` but those.
    """

    number: int
    beside: frozenset[str] = frozenset()
    only: frozenset[str] | None = None


LAYERS = {
    "errors": Layer(0),
    "containers": Layer(0, beside=frozenset({"errors"})),
    "utils": Layer(0, beside=frozenset({"errors", "containers"})),
    "calls": Layer(0),
    "configuration": Layer(1, only=frozenset({"errors", "utils"})),
    "versioning": Layer(1, only=frozenset({"errors", "utils"})),
    "events": Layer(1, only=frozenset({"errors", "utils"})),
    "structure": Layer(2),
    "aggregators": Layer(2, only=frozenset({"errors", "containers", "utils"})),
    "chrono": Layer(2, beside=frozenset({"aggregators"})),
    "metrics": Layer(2, beside=frozenset({"aggregators"})),
    "serialization": Layer(2, beside=frozenset({"structure", "aggregators", "chrono"})),
    "projections": Layer(3),
    "relay": Layer(3, only=frozenset({"errors", "utils", "events"})),
    "persistence": Layer(4),
    "distributed": Layer(4),
    "exchange": Layer(5),
    "moments": Layer(1, only=frozenset({"errors"})),
    "running": Layer(5),
    "logger": Layer(5, beside=frozenset({"running"})),
    "reader": Layer(6),
    "summaries": Layer(5),
    "display": Layer(5, beside=frozenset({"summaries"})),
    "views": Layer(5),
    "client": Layer(6),
    "cli": Layer(7),
    "__main__": Layer(7, beside=frozenset({"cli"})),
    "__init__": Layer(8),
}

ORDER = {
    "events": (
        "values",
        "types",
        "codec",
        "redaction",
        "columns",
        "record",
        "scan",
        "section",
        "shared_file",
        "journal",
        "sequences",
        "streams",
        "producer",
        "journal_retry",
        "journal_memory",
        "journal_on_disk",
        "journal_file",
        "lmdb_environment",
        "journal_lmdb",
        "sql_session",
        "sql_schema",
        "sql_rows",
        "sql_rewrite",
        "journal_sql",
        "spool",
        "forward",
        "__init__",
    ),
    "persistence": (
        "content",
        "protocol",
        "utils",
        "settings",
        "checks",
        "logged_files",
        "masking",
        "failures",
        "facts",
        "storage",
        "report_file",
        "store",
        "timers",
        "liveness",
        "selection",
        "authority",
        "journaled",
        "queries",
        "query_limit",
        "answering",
        "importing",
        "opening",
        "which_store",
        "memory",
        "local",
        "lmdb",
        "maintenance",
        "forwarded",
        "cockroach",
        "redaction",
        "multiplexer",
        "backends",
        "reading",
        "asking",
        "socket_client",
        "socket_server",
        "socketed",
        "__init__",
    ),
    "exchange": (
        "optional",
        "tables",
        "frames",
        "text",
        "parquet",
        "recording",
        "event_files",
        "tensorboard",
        "mlflow_stores",
        "mlflow",
        "copying",
        "__init__",
    ),
}
"""Inside these packages a module imports only modules named before it."""

PURE = {"projections"}
"""Folds: no clock, no chance, no I/O, so what they need must be in the events."""

IMPURE_MODULES = {
    *("io", "os", "pathlib", "random", "secrets", "shutil", "socket", "subprocess", "tempfile"),
    *("time", "track.configuration", "track.versioning"),
}
IMPURE_CALLS = {"input", "now", "open", "today", "utcnow"}

PRINTERS = {
    ("track/cli/common.py", "print_table"),
    ("track/client.py", "log_arguments"),
    ("track/client.py", "report"),
    ("track/logger.py", "show_eta"),
    ("track/utils/eta.py", "show_eta"),
}
"""The functions that are documented to print."""

CATCH_ALL = {"Exception", "BaseException"}

LEFT_OPEN = re.compile(r"\bTO[D]O\b|\bFIX[M]E\b")


class Violation(NamedTuple):
    """One broken rule."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class Module(NamedTuple):
    """A module of ``track``: ``track.events.codec`` is ``("events", "codec")``."""

    package: str
    name: str = "__init__"

    @classmethod
    def parse(cls, dotted: str) -> Module:
        parts = [*dotted.split("."), "__init__"]
        return cls(*parts[1:3]) if len(parts) > 2 else cls("__init__")  # noqa: PLR2004 - track.x.y

    def __str__(self) -> str:
        parts = (part for part in ("track", *self) if part != "__init__")
        return ".".join(parts)


BACKENDS = {
    *(Module("events", f"journal_{home}") for home in ("memory", "file", "lmdb", "sql", "relay")),
    *(Module("persistence", home) for home in ("memory", "local", "lmdb", "cockroach")),
}
"""One module each, and none imports another."""


class Import(NamedTuple):
    """A module that a line imports, with its dots."""

    line: int
    dotted: str


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
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return [Violation(path, error.lineno or 1, f"{error.msg}: make it valid Python")]
    found = [*too_long(source), *left_open(file), *swallowed(tree)]
    if path.startswith("track/"):
        module = Module.parse(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        found += [*long_functions(tree), *prints(tree, path)]
        found += check_imports(module, list(imports_of(tree, path, root)))
        if module.package in PURE:
            found += impure_calls(tree)
    return [Violation(path, line, message) for line, message in sorted(found)]


Found = Iterator[tuple[int, str]]
"""Line and message of each violation."""


def too_long(source: str) -> Found:
    """Limit the length of files."""
    count = len(source.splitlines())
    if count > MAX_FILE_LINES:
        yield count, f"the file has {count} lines, split it below {MAX_FILE_LINES}"


def left_open(file: Path) -> Found:
    """Refuse notes to self: the tracker of issues is the place for them."""
    with tokenize.open(file) as lines:
        for number, line in enumerate(lines, 1):
            if note := LEFT_OPEN.search(line):
                yield number, f"{note[0]} left in the code, do it or open an issue"


def swallowed(tree: ast.AST) -> Found:
    """Refuse handlers that hide every error."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type
        if caught is None:
            yield node.lineno, "bare except, name what may be raised"
        elif isinstance(caught, ast.Name) and caught.id in CATCH_ALL and does_nothing(node.body):
            yield node.lineno, f"except {caught.id} that does nothing, handle or narrow it"


def does_nothing(body: list[ast.stmt]) -> bool:
    """Tell whether a body is only ``pass``, ``...`` or a string."""
    return all(
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in body
    )


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Iterate over every function, also nested ones."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def long_functions(tree: ast.AST) -> Found:
    """Limit the length of functions, docstring included."""
    for node in functions(tree):
        count = (node.end_lineno or node.lineno) - node.lineno + 1
        if count > MAX_FUNCTION_LINES:
            limit = MAX_FUNCTION_LINES
            yield node.lineno, f"{node.name} has {count} lines, split it below {limit}"


def prints(tree: ast.AST, path: str) -> Found:
    """Refuse printing outside the functions that are documented to do it."""
    allowed: set[ast.AST] = set()
    for function in functions(tree):
        if (path, function.name) in PRINTERS:
            allowed.update(ast.walk(function))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) == "print" and node not in allowed:
            yield node.lineno, "print in the library, log it or return it"


def called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def impure_calls(tree: ast.AST) -> Found:
    """Refuse clocks and files in pure modules, wherever the function comes from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in IMPURE_CALLS:
            yield node.lineno, f"{called(node)}() in a pure module, put its result into the event"


def imports_of(tree: ast.AST, path: str, root: Path) -> Iterator[Import]:
    """Iterate over every import: in functions, under ``TYPE_CHECKING`` and by name, too."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (Import(node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=source, names=names, level=level):
                base = package[: len(package) - level + 1] if level else []
                dotted = ".".join([*base, source] if source else base)
                for alias in names:
                    inner = f"{dotted}.{alias.name}"
                    yield Import(node.lineno, inner if exists(root, inner) else dotted)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if called(node) in {
                "__import__",
                "import_module",
            }:
                yield Import(node.lineno, name)


def exists(root: Path, dotted: str) -> bool:
    """Tell whether there is such a module in the tree."""
    place = root.joinpath(*dotted.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def check_imports(module: Module, imports: list[Import]) -> Found:
    """Check a module's imports against the tables."""
    if module.package not in LAYERS:
        yield 1, no_layer(module)
        return
    if module.name not in ORDER.get(module.package, (module.name,)):
        yield 1, no_place(module)
        return
    for line, dotted in imports:
        if dotted.split(".")[0] == "track":
            complaint = check_inner_import(module, Module.parse(dotted))
            if complaint:
                yield line, complaint
        if module.package in PURE and is_impure(dotted):
            yield line, f"{dotted} in a pure module, put what it would tell into the event"


def no_layer(module: Module) -> str:
    """Say that the first table misses a package."""
    return f"{module} has no layer, give {module.package} one in LAYERS of tools/tidy.py"


def no_place(module: Module) -> str:
    """Say that the second table misses a module."""
    return f"{module} has no place, give {module.name} one in ORDER of tools/tidy.py"


def is_impure(dotted: str) -> bool:
    """Tell whether an imported module, or one above it, is on the list."""
    parts = dotted.split(".")
    return any(".".join(parts[:count]) in IMPURE_MODULES for count in range(1, len(parts) + 1))


def check_inner_import(module: Module, target: Module) -> str | None:
    """Return what is wrong with one module of ``track`` importing another, if anything is."""
    if target.package not in LAYERS:
        return no_layer(target)
    if module.package == target.package:
        return check_order(module, target)
    layer, below = LAYERS[module.package], LAYERS[target.package]
    if layer.only is not None and target.package not in layer.only:
        return f"{module} imports {target}, but of track only: {', '.join(sorted(layer.only))}"
    if layer.number <= below.number and target.package not in layer.beside:
        return (
            f"{module} (layer {layer.number}) imports {target} (layer {below.number}), "
            "import only lower layers or move the code"
        )
    if module.package in PURE and target in BACKENDS:
        return f"{module} imports {target}, a fold knows only the Journal contract"
    return None


def check_order(module: Module, target: Module) -> str | None:
    """Check an import inside one package."""
    order = ORDER.get(module.package)
    if order is None or module == target:
        return None
    if target.name not in order:
        return no_place(target)
    if module in BACKENDS and target in BACKENDS:
        return f"{module} imports {target}, no backend knows another: share code below them"
    if order.index(target.name) >= order.index(module.name):
        return f"{module} imports {target}, which comes later in ORDER of tools/tidy.py"
    return None


def main(arguments: list[str]) -> int:
    """Print every violation; return the exit code."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    violations = check(root)
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
