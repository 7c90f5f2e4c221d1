"""A thousand connections to one relay: all are served; those over the limit are not, others are."""

import resource
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import pytest

from tests.e2e.faults import patience, until_reached
from tests.e2e.relay_work import LAYERS, Place, in_thread, serving
from tests.e2e.stores import open_store, say
from tests.relays import served, server_uri, uri_of
from track.errors import JournalUnreachable
from track.persistence.socketed import SocketClient, SocketServer
from track.relay.limits import Limits
from track.relay.messages import Verb
from track.relay.users import Users
from track.structure import Project, Trial

pytestmark = pytest.mark.filterwarnings("ignore::track.errors.StorageWarning")

MANY = 1000


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture(autouse=True)
def silent(caplog):
    """Only servers that refuse connections say so, for each."""
    yield
    assert all("connection was refused" in message for message in caplog.messages)


@pytest.fixture
def many_files():
    """Room for the descriptors of many connections, here and in the processes that are started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * MANY
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"a process may have no more than {hard} files open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def few_files():
    """Have what is started in a block begin with the limit that systems set by default, or less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ask(store):
    """Ask the server, on the connection of a store, whether there is a project."""
    return store._connection.request(Verb.CALL, ["knows", "project", "project"]).header


def in_parallel(function, items):
    with ThreadPoolExecutor(50) as pool:
        return list(pool.map(function, items))


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_thousand_clients_are_connected_at_once(place, tmp_path, layer):
    """All of them are logged in and get their answers, twice, and the server goes on afterwards."""
    options, login = {}, ""
    if layer == "AES":
        users = Users(tmp_path / "users")
        users.add("somebody", "secret")
        options, login = {"users": tmp_path / "users"}, "somebody:secret@"
    with ExitStack() as stack:
        with few_files():
            server = stack.enter_context(serving(place, layer, **options))
        uri = server.uri(login, spool=place.spool, timeout=60)
        store = stack.enter_context(closing(open_store(uri)))
        store.new_project(Project(name="project"))
        clients = [SocketClient(uri) for _ in range(MANY)]
        for _ in range(2):
            assert in_parallel(ask, clients) == [[True]] * MANY
        assert len({id(client._connection._session) for client in clients}) == MANY
        assert None not in {client._connection._session for client in clients}
        store.new_trial(Trial(_hash="meanwhile", project_id="project"))
        in_parallel(SocketClient.close, clients)
        store.new_trial(Trial(_hash="afterwards", project_id="project"))
        assert [trial.hash for trial in store.fetch_trials()] == ["meanwhile", "afterwards"]


def serve_with_few_files(backend):
    """Be a server that may open few files, and no more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1400, 1400))
    server = SocketServer(server_uri(backend))
    in_thread(lambda: (server.ready.wait(), say(str(server.port))))
    server.run_server()


@pytest.mark.usefixtures("many_files")
def test_a_server_that_may_open_few_files_keeps_some_for_itself(place, start):
    """Who has a connection goes on, however many others come; the report is still written."""
    server = start(serve_with_few_files, place.backend)
    port = int(server._popen.stdout.readline())
    store = open_store(uri_of(port, spool=place.spool, timeout=10))
    store.new_project(Project(name="project"))
    with ExitStack() as stack:
        for _ in range(2 * MANY):
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
        for number in range(20):
            store.new_trial(Trial(_hash=f"{number}", project_id="project"))
            store.commit()
    assert len(until_reached(lambda: list(store.events()))) == 21
    store.close()
    server._popen.terminate()
    _, errors = server._popen.communicate()
    assert server._popen.returncode == 0
    assert "Traceback" not in errors
    place.check(place.backend)


@pytest.mark.parametrize("layer", LAYERS)
def test_who_is_over_the_limit_is_refused_while_others_go_on(place, layer):
    """Whoever comes too late is told that there is no answer, and comes in when another leaves."""
    with served(place.backend, Limits(connections=5), security_layer=layer) as running:
        uri = running.uri(spool=place.spool, timeout=0.5)
        stores = [open_store(uri) for _ in range(6)]
        stores[0].new_project(Project(name="project"))
        for store in stores[1:5]:
            assert ask(store) == [True]
        with pytest.raises(JournalUnreachable, match=f"127.0.0.1:{running.port}"):
            ask(stores[5])
        for store in stores[:5]:
            assert ask(store) == [True]
        stores[0].close()
        assert until_reached(lambda: ask(stores[5])) == [True]
        for store in stores[1:]:
            store.close()


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("said", [b"", b"TRKR", b"GET / HTTP/1.1\r\n\r\n" + b"." * 100])
def test_half_open_handshakes_keep_nobody_out_for_long(place, said, layer):
    """A thousand of them take all places, until their time is over."""
    limits = Limits(connections=100, handshake_s=1)
    with (
        served(place.backend, limits, security_layer=layer) as running,
        ExitStack() as stack,
    ):
        for _ in range(MANY):
            stranger = socket.create_connection(("127.0.0.1", running.port))
            stack.enter_context(stranger)
            if said:
                stranger.sendall(said)
        uri = uri_of(running.port, security_layer=layer, spool=place.spool, timeout=10)
        store = open_store(uri)
        store.new_project(Project(name="project"))
        assert ask(store) == [True]
        store.close()
        for _ in patience():
            if not running.server._relay._tasks:
                break
