"""The files service on a simulated network: over loss and slicing, through partitions, resets and crashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import error
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.protocol import Factory, Protocol

from tests.peers import connect
from twistnet import make_node
from twistnet.errors import FilesError, RemoteProtocolError
from twistnet.protocols.files.client import FilesClient
from twistnet.protocols.files.server import SILENCE, FilesFactory
from twistnet.protocols.files.store import FileStore
from twistnet.services.node import NodeService
from twistnet.simulation import Host, Network, RandomSizes, Reset
from twistnet.wire.file_messages import EMPTY, Get, Put, Stored, encode_message
from twistnet.wire.file_names import PARTIALS

PORT = 7014
ROUGH = {"latency": 0.02, "jitter": 0.01, "loss": 0.02, "duplicate": 0.02, "slicing": RandomSizes(1, 5000)}
SLOW = {"latency": 0.01, "rate": 1_000_000.0}
LINKS = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (("plain", {}), ("rough", ROUGH), ("slow", SLOW))
]
OFTEN: dict[str, Any] = {"attempts": 100, "timeout": 15.0}


class Served:
    """A folder that is served, and clients of it."""

    def __init__(self, network: Network, folder: Path, **settings: Any) -> None:
        self.network = network
        self.folder = folder
        self.store = FileStore(folder, **{"writable": True, **settings})
        self.server = network.host("server")
        self.listen(self.server)

    def listen(self, server: Host) -> None:
        """Serve, now and after a crash."""
        self.factory = FilesFactory(self.store, server)
        server.listenTCP(PORT, self.factory)

    def client(self, name: str = "client", **settings: Any) -> FilesClient:
        """A client on a host of its own."""
        host = self.network.hosts.get(name) or self.network.host(name)
        return FilesClient(host, HostnameEndpoint(host, "server", PORT), **settings)

    def left_behind(self) -> list[str]:
        """What has not come whole."""
        partials = self.folder / PARTIALS
        return sorted(path.name for path in partials.iterdir()) if partials.exists() else []


@pytest.fixture
def served(network: Network, tmp_path: Path) -> Iterator[Served]:
    """A folder that may be written."""
    folder = tmp_path / "served"
    folder.mkdir()
    served = Served(network, folder)
    yield served
    served.store.close()


def file_of(network: Network, path: Path, octets: int) -> bytes:
    """A file of random octets."""
    data = network.random.randbytes(octets)
    path.write_bytes(data)
    return data


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("octets", [0, 1, 65536, 3_000_000])
def test_a_file_goes_there_and_back(
    network: Network, served: Served, tmp_path: Path, link: object, octets: int
) -> None:
    data = file_of(network, tmp_path / "mine", octets)
    seen: list[tuple[int, int]] = []

    async def there_and_back() -> tuple[Stored, Stored]:
        client = served.client()
        put = await client.put(tmp_path / "mine", "a/b/theirs", progress=lambda *step: seen.append(step))
        got = await client.get("a/b/theirs", tmp_path / "back")
        await client.close()
        return put, got

    right = Stored(size=octets, digest=hashlib.sha256(data).hexdigest())
    assert network.run(there_and_back()) == (right, right)
    assert (served.folder / "a/b/theirs").read_bytes() == (tmp_path / "back").read_bytes() == data
    assert (seen[0], seen[-1]) == ((0, octets), (octets, octets))
    assert seen == sorted(seen)
    assert served.left_behind() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "mine", "served"]


def test_many_requests_in_turn_on_one_connection(network: Network, served: Served, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    (served.folder / "folder").mkdir()
    for number in range(5, 250):
        (served.folder / "folder" / f"{number:03}").write_bytes(b"x")

    async def requests() -> list[Any]:
        client = served.client()
        for number in range(5):
            await client.put(tmp_path / "x", f"folder/{number:03}")
        listed = await client.list("folder")
        outermost = await client.list()
        before = await client.stat("folder/007")
        await client.remove("folder/007")
        try:
            await client.stat("folder/007")
        except FilesError as gone:
            code = gone.code
        after = await client.list("folder")
        await client.close()
        return [listed, outermost, before, code, after]

    listed, outermost, before, code, after = network.run(requests())
    assert [entry.name for entry in listed] == [f"{number:03}" for number in range(250)]
    assert [(entry.name, entry.folder) for entry in outermost] == [("folder", True)]
    assert (before.name, before.size, before.folder, code) == ("folder/007", 1, False, "not-found")
    assert len(after) == 249
    ports = {packet.source.port for packet in network.trace.packets if packet.source.host == "client"}
    assert len(ports) == 1


def test_requests_at_once_wait_for_each_other(network: Network, served: Served, tmp_path: Path) -> None:
    data = file_of(network, tmp_path / "x", 100_000)
    client = served.client()
    puts = [Deferred.fromCoroutine(client.put(tmp_path / "x", f"{number}")) for number in range(5)]
    network.run(gatherResults(puts))
    assert all((served.folder / f"{number}").read_bytes() == data for number in range(5))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../x", "bad-name"),
        ("/etc/passwd", "bad-name"),
        ("", "bad-name"),
        (f"{PARTIALS}/x", "bad-name"),
        ("folder", "is-folder"),
        ("nothing", "not-found"),
        ("link", "not-found"),
        ("out/x", "not-found"),
        ("pipe", "no-file"),
    ],
)
def test_what_cannot_be_fetched(
    network: Network, served: Served, tmp_path: Path, name: str, code: str
) -> None:
    """And the connection is good for more after that."""
    import os

    (served.folder / "folder").mkdir()
    (served.folder / "fine").write_bytes(b"fine")
    (served.folder / "link").symlink_to(served.folder / "fine")
    (served.folder / "out").symlink_to(tmp_path)
    (tmp_path / "x").write_bytes(b"secret")
    os.mkfifo(served.folder / "pipe")

    async def fetch() -> str:
        client = served.client()
        try:
            await client.get(name, tmp_path / "back")
        except FilesError as refused:
            await client.get("fine", tmp_path / "fine")
            return refused.code
        finally:
            await client.close()
        return "fetched"

    assert network.run(fetch()) == code
    assert (tmp_path / "fine").read_bytes() == b"fine"
    assert not (tmp_path / "back").exists()


def refused(network: Network, client: FilesClient, path: Path, name: str) -> str:
    """The code that a file is refused with."""

    async def put() -> str:
        try:
            await client.put(path, name)
        except FilesError as problem:
            return problem.code
        finally:
            await client.close()
        return "stored"

    code: str = network.run(put())
    return code


def test_what_is_not_allowed(network: Network, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 1000)
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"writable": False}, "x", "read-only"),
        ({"max_file_size": 999}, "x", "too-large"),
        ({"max_file_size": 1000}, "x", "stored"),
        ({"quota": 1999}, "y", "quota"),
        ({"quota": 2000}, "y", "stored"),
        ({}, "inner", "is-folder"),
        ({}, "x/y", "not-found"),
        ({}, "nul", "bad-name"),
    ]
    for number, (settings, name, code) in enumerate(cases):
        served = Served.__new__(Served)
        served.network, served.folder = network, tmp_path / "folder"
        served.store = FileStore(served.folder, **{"writable": True, **settings})
        served.server = network.host(f"server{number}")
        served.listen(served.server)
        host = network.host(f"client{number}")
        client = FilesClient(host, HostnameEndpoint(host, f"server{number}", PORT))
        assert refused(network, client, tmp_path / "x", name) == code, (settings, name)
        assert served.left_behind() == []
        served.store.close()


@pytest.mark.parametrize("way", ["put", "get"])
@pytest.mark.network(link=SLOW)
def test_resets_in_the_middle_are_made_up_for(
    network: Network, served: Served, tmp_path: Path, way: str
) -> None:
    """Each costs what was on its way, and no more; neither end keeps anything but the file."""
    data = file_of(network, (served.folder if way == "get" else tmp_path) / "x", 10_000_000)
    client = served.client(**OFTEN)
    path = tmp_path / "x"
    transfer = Deferred.fromCoroutine(getattr(client, way)(*((path, "x") if way == "put" else ("x", path))))
    for _ in range(5):
        network.advance(2.2)
        network.begin(Reset("client", "server"))
    network.run(transfer)
    assert network.clock.now < 30, "all of it was sent again"
    assert path.read_bytes() == (served.folder / "x").read_bytes() == data
    assert served.left_behind() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["served", "x"]


@pytest.mark.parametrize("seconds", [5, 100])
@pytest.mark.parametrize("way", ["put", "get"])
@pytest.mark.network(link=SLOW)
def test_a_partition_in_the_middle(
    network: Network, served: Served, tmp_path: Path, way: str, seconds: float
) -> None:
    """One that is shorter than the client's patience, and a longer one: then the server still believes in the old
    connection, and lets go of it."""
    data = file_of(network, (served.folder if way == "get" else tmp_path) / "x", 3_000_000)
    client = served.client(**OFTEN)
    path = tmp_path / "x"
    transfer = Deferred.fromCoroutine(getattr(client, way)(*((path, "x") if way == "put" else ("x", path))))
    network.advance(1.5)
    cut = network.partition("client", "server")
    network.advance(seconds)
    network.end(cut)
    network.run(transfer)
    assert path.read_bytes() == (served.folder / "x").read_bytes() == data
    assert served.left_behind() == []


@pytest.mark.network(link=SLOW)
def test_a_server_that_crashes_and_comes_back(network: Network, served: Served, tmp_path: Path) -> None:
    data = file_of(network, tmp_path / "x", 3_000_000)
    client = served.client(**OFTEN)
    transfer = Deferred.fromCoroutine(client.put(tmp_path / "x"))
    network.advance(1.5)
    network.crash("server")
    for upload in list(served.store._coming):
        upload.close()  # what the kernel does for a process that is no more
    network.advance(3)
    network.restart("server")
    served.listen(served.server)
    network.run(transfer)
    assert (served.folder / "x").read_bytes() == data
    assert served.left_behind() == []


@pytest.mark.network(link=SLOW)
def test_a_client_that_vanishes_gives_way(network: Network, served: Served, tmp_path: Path) -> None:
    """To another that would send the same; but not while it still sends."""
    data = file_of(network, tmp_path / "x", 3_000_000)
    first = Deferred.fromCoroutine(served.client("first").put(tmp_path / "x"))
    first.addErrback(lambda _: None)
    network.advance(1.5)
    second = served.client("second", attempts=1)
    assert refused(network, second, tmp_path / "x", "x") == "busy"
    network.crash("first")
    assert refused(network, second, tmp_path / "x", "x") == "busy"
    network.advance(SILENCE + 1)  # what was on its way has come by then
    before = network.clock.now
    assert refused(network, second, tmp_path / "x", "x") == "stored"
    assert network.clock.now - before < 2.5, "what the first one sent was sent again"
    assert (served.folder / "x").read_bytes() == data
    assert served.left_behind() == []


@pytest.mark.network(link=SLOW)
def test_two_that_send_the_same_name_at_once_do_not_mix(
    network: Network, served: Served, tmp_path: Path
) -> None:
    one = file_of(network, tmp_path / "one", 1_000_000)
    other = file_of(network, tmp_path / "other", 1_000_000)
    puts = [
        Deferred.fromCoroutine(served.client(name, **OFTEN).put(tmp_path / name, "x"))
        for name in ("one", "other")
    ]
    network.advance(0.7)
    network.begin(Reset("one", "server"))
    network.run(gatherResults(puts))
    assert (served.folder / "x").read_bytes() in {one, other}
    assert served.left_behind() == []


def test_what_is_there_is_sent_again_only_where_it_differs(
    network: Network, served: Served, tmp_path: Path
) -> None:
    data = file_of(network, tmp_path / "x", 5_000_000)
    client = served.client()
    network.run(client.put(tmp_path / "x"))
    sent = sum(len(packet.payload) for packet in network.trace.packets)
    network.run(client.put(tmp_path / "x"))
    again = sum(len(packet.payload) for packet in network.trace.packets) - sent
    assert again < 1000
    changed = data[:-1] + bytes([data[-1] ^ 1])
    (tmp_path / "x").write_bytes(changed)
    network.run(client.put(tmp_path / "x"))
    assert (served.folder / "x").read_bytes() == changed
    assert served.left_behind() == []


@pytest.mark.parametrize("way", ["put", "get"])
@pytest.mark.network(link=SLOW)
def test_a_beginning_that_differs_is_not_gone_on_with(
    network: Network, served: Served, tmp_path: Path, way: str
) -> None:
    origin = (served.folder if way == "get" else tmp_path) / "x"
    file_of(network, origin, 3_000_000)
    words = (tmp_path / "x", "x") if way == "put" else ("x", tmp_path / "x")
    transfer = Deferred.fromCoroutine(getattr(served.client("first", attempts=1), way)(*words))
    transfer.addErrback(lambda failure: failure.trap(error.ConnectionLost, FilesError))
    network.advance(2)
    network.begin(Reset("first", "server"))
    network.settle()
    data = file_of(network, origin, 3_000_000)
    network.run(getattr(served.client("second"), way)(*words))
    assert (tmp_path / "x").read_bytes() == (served.folder / "x").read_bytes() == data
    assert served.left_behind() == []


@pytest.mark.network(link=SLOW)
def test_a_file_that_becomes_shorter_on_its_way(network: Network, served: Served, tmp_path: Path) -> None:
    """Is not stored, and both sides know."""
    file_of(network, tmp_path / "x", 5_000_000)
    put = Deferred.fromCoroutine(served.client(attempts=2).put(tmp_path / "x"))
    failed = put.addErrback(lambda failure: failure.value)
    network.advance(1.5)
    (tmp_path / "x").write_bytes(b"short")
    problem = network.run(failed)
    assert isinstance(problem, FilesError)
    assert problem.code == "changed"
    network.settle()
    assert not (served.folder / "x").exists()


def test_a_server_that_is_not_there_or_silent(network: Network, served: Served, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    network.host("silent").listenTCP(PORT, Factory.forProtocol(Protocol))
    host = network.host("client")
    for name, kind in (
        ("nobody", error.DNSLookupError),
        ("client", error.ConnectionRefusedError),
        ("silent", error.TimeoutError),
    ):
        client = FilesClient(host, HostnameEndpoint(host, name, PORT), timeout=5, attempts=2)
        begun = network.clock.now
        with pytest.raises(kind):
            network.run(client.put(tmp_path / "x"))
        assert network.clock.now - begun < 12


class Nonsense(Protocol):
    """Says what no server would."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_server_of_something_else(network: Network, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    network.host("server").listenTCP(PORT, Factory.forProtocol(Nonsense))
    host = network.host("client")
    client = FilesClient(host, HostnameEndpoint(host, "server", PORT))
    with pytest.raises(RemoteProtocolError):
        network.run(client.put(tmp_path / "x"))
    network.settle()
    assert host.getReaders() == []


def framed(*messages: Any) -> bytes:
    """Messages, as they are written."""
    bodies = [encode_message(message) for message in messages]
    return b"".join(len(body).to_bytes(4, "big") + body for body in bodies)


def test_a_client_of_something_else_is_told_so(network: Network, served: Served) -> None:
    peer = connect(network, network.host("client"), "server", PORT)
    peer.say(b"GET / HTTP/1.1\r\n\r\n")
    answer = network.run(peer.ended)
    assert b'"code":"protocol"' in answer
    peer.transport.loseConnection()
    network.settle()


def test_who_asks_and_finishes_is_answered(network: Network, served: Served) -> None:
    """A client that half-closes after its question, as netcat does, hears all of the answer."""
    (served.folder / "x").write_bytes(b"x" * 1_000_000)
    peer = connect(network, network.host("client"), "server", PORT)
    peer.say(framed(Get(name="x", offset=0, digest=EMPTY)), finish=True)
    answer = network.run(peer.ended)
    assert answer.count(b"x") >= 1_000_000
    peer.transport.loseConnection()
    network.settle()
    assert [type(reader).__name__ for reader in served.server.getReaders()] == ["TcpPort"]


def test_a_peer_that_leaves_in_the_middle_leaves_nothing_open(network: Network, served: Served) -> None:
    import os

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for octets in (
        b"",
        b"\0",
        framed(Put(name="x", size=100)),
        framed(Get(name="x", offset=0, digest=EMPTY)),
    ):
        peer = connect(network, network.host(f"client{len(network.hosts)}"), "server", PORT)
        peer.say(octets)
        peer.transport.loseConnection()
    network.settle()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208 - the folder of what has not come whole
    assert served.left_behind() == []
    assert [type(reader).__name__ for reader in served.server.getReaders()] == ["TcpPort"]


def listening(network: Network, folder: Path, **settings: Any) -> Host:
    """A host with the whole service, policies and all, in a folder."""
    server = network.host("server")
    NodeService(
        make_node({"files": {"folder": str(folder), "writable": True, **settings}}), server
    ).startService()
    return server


@pytest.mark.parametrize(
    "policies",
    [
        {"write_buffer_limit": 200_000},
        {"high_water_mark": 100_000, "low_water_mark": 1000, "write_buffer_limit": 200_000},
        {"rate": 500_000, "burst": 10_000},
        {"idle_timeout": 3, "lifetime": 4},
    ],
    ids=",".join,
)
@pytest.mark.network(link=SLOW)
def test_policies_hold_files_up_and_do_not_break_them(
    network: Network, tmp_path: Path, policies: dict[str, Any]
) -> None:
    """A `lifetime` that is shorter than a transfer makes it go on over another connection."""
    (tmp_path / "served").mkdir()
    everywhere = {"listen": [f"tcp:{PORT}:interface=0.0.0.0"], "anonymous": True}
    listening(network, tmp_path / "served", **everywhere, **policies)
    host = network.host("client")
    client = FilesClient(host, HostnameEndpoint(host, "server", PORT))
    data = file_of(network, tmp_path / "x", 5_000_000)
    network.run(client.put(tmp_path / "x"))
    network.run(client.get("x", tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data
    ports = {packet.source.port for packet in network.trace.packets if packet.source.host == "client"}
    assert (len(ports) > 1) is ("lifetime" in policies)


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:X509:DeprecationWarning")
@pytest.mark.network(link=ROUGH)
def test_files_over_tls_with_certificates(network: Network, tmp_path: Path) -> None:
    certificates = pytest.importorskip(
        "tests.simulation.other_code.certificates", reason="needs twistnet[tls]"
    )
    (tmp_path / "served").mkdir()
    for name, pem in (
        ("server", certificates.pem("server")),
        ("me", certificates.pem("client")),
        ("ca", certificates.authority_pem()),
    ):
        (tmp_path / f"{name}.pem").write_bytes(pem)
    listen = f"mtls:{tmp_path}/server.pem:{PORT}:ca={tmp_path}/ca.pem:interface=0.0.0.0"
    listening(network, tmp_path / "served", listen=[listen], write_buffer_limit=400_000)
    host = network.host("client")
    known = f"mtls:server:{PORT}:certificate={tmp_path}/me.pem:ca={tmp_path}/ca.pem"
    client = FilesClient(host, clientFromString(host, known))
    data = file_of(network, tmp_path / "x", 1_000_000)
    network.run(client.put(tmp_path / "x"))
    network.run(client.get("x", tmp_path / "back"))
    network.run(client.close())
    assert (tmp_path / "back").read_bytes() == data
