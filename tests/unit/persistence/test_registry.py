"""How a URI finds its backend."""

import pytest

from tests.programs import run_python
from track.errors import BackendError
from track.persistence import get_protocol, make_local, register, registry
from track.persistence.local import FileProtocol, MemoryProtocol
from track.persistence.protocol import Protocol


@pytest.mark.filterwarnings("ignore::track.errors.StorageWarning")
@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("report.json", FileProtocol),
        ("file:report.json", FileProtocol),
        ("file://report.json", FileProtocol),
        ("memory:", MemoryProtocol),
        ("none", MemoryProtocol),
    ],
)
def test_schemes_of_ones_own(uri, kind):
    """Each scheme has its backend, which knows its URI."""
    assert type(get_protocol(uri)) is kind
    assert type(make_local(uri if uri != "none" else "none:", strict=True, eager=True)) is kind


def test_an_unknown_scheme_is_named():
    """The error lists what there is, and what one can do."""
    with pytest.raises(BackendError, match=r"carrier-pigeon.*file.*register"):
        get_protocol("carrier-pigeon:coop")
    assert issubclass(BackendError, ValueError)


def test_registering_replaces():
    """Anything that takes a URI is a backend, and the last registration counts."""
    register("byob", Protocol)
    assert get_protocol("byob://a/b?c=d").uri == "byob://a/b?c=d"
    register("byob", lambda uri: ("made", uri))
    assert get_protocol("byob:x") == ("made", "byob:x")
    with pytest.raises(TypeError, match="byob"):
        register("byob", "not.callable")


def install(folder, module, entry):
    """Lay out an installed distribution that names a backend."""
    info = folder / "bird_post-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bird-post\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[track.backends]\n{entry}\n")
    (folder / "bird_post.py").write_text(module)


def test_installed_packages_bring_backends(tmp_path, monkeypatch):
    """An entry point of the documented group is found by its name."""
    install(
        tmp_path / "site",
        "from track.persistence.protocol import Protocol\nclass Bird(Protocol):\n    'Delivers.'\n",
        "pigeon = bird_post:Bird",
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    opened = get_protocol("pigeon://coop")
    assert (type(opened).__name__, opened.uri) == ("Bird", "pigeon://coop")
    assert registry.backend_of("pigeon:").opens is type(opened)


@pytest.mark.parametrize("entry", ["raven = bird_post:Missing", "raven = not_there:Bird"])
def test_a_backend_that_cannot_be_loaded_is_named(tmp_path, monkeypatch, entry):
    """The package at fault is named, and the cause is kept."""
    install(tmp_path / "site", "", entry)
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(BackendError, match=r"raven.*(bird_post|not_there)") as caught:
        get_protocol("raven:")
    assert isinstance(caught.value.__cause__, (ImportError, AttributeError))


def test_importing_the_package_imports_no_backend():
    """What only some need is imported when it is asked for."""
    code = (
        "import sys, track\n"
        "heavy = ['torch', 'numpy', 'psycopg2', 'lmdb', 'asyncio', 'sqlite3', 'cryptography',"
        " 'multiprocessing', 'track.persistence.local', 'track.persistence.multiplexer']\n"
        "print([name for name in heavy if name in sys.modules])\n"
        "track.TrackClient('memory:')\n"
        "print('track.persistence.local' in sys.modules)\n"
    )
    assert run_python(code).stdout == "[]\nTrue\n"
