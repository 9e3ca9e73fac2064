"""twisted.web, client and server, unmodified: large bodies, persistent and pipelined requests, https, crashes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    connectProtocol,
    serverFromString,
)
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.filepath import FilePath
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    FileBodyProducer,
    HTTPConnectionPool,
    ResponseNeverReceived,
    readBody,
)
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer

from twistnet.simulation import Host, Network, OneByte, RandomSizes

from .certificates import certificate, trust_root

with warnings.catch_warnings():  # it uses what Twisted itself has deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    from twisted.web.static import Data, File

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:Using readBody with a transport that does not have:DeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
]
"""What Twisted says of itself."""

ROUGH = {"latency": 0.02, "jitter": 0.005, "loss": 0.02, "slicing": RandomSizes(1, 1460)}
TEN_MEGABYTES = 10_000_000
SLOW = {**ROUGH, "rate": 1_000_000}
"""Octets a second."""


class Store(Resource):
    """Keeps what it was sent last."""

    isLeaf = True
    content = b""

    def render_PUT(self, request: Any) -> bytes:
        self.content = request.content.read()
        return b"%d" % len(self.content)


class Counted(Site):
    """A site that counts its connections."""

    connections = 0

    def buildProtocol(self, addr: Any) -> Any:
        self.connections += 1
        return super().buildProtocol(addr)


def site(**children: Resource) -> Counted:
    root = Resource()
    for name, child in children.items():
        root.putChild(name.encode(), child)
    return Counted(root)


def text(content: str) -> Data:
    return Data(content.encode(), "text/plain")


async def get(agent: Agent, uri: str) -> bytes:
    response: Any = await agent.request(b"GET", uri.encode())
    body: bytes = await readBody(response)
    return body


async def put(agent: Agent, uri: str, content: bytes) -> bytes:
    producer = FileBodyProducer(io.BytesIO(content))
    response: Any = await agent.request(b"PUT", uri.encode(), None, producer)
    body: bytes = await readBody(response)
    return body


def test_ten_megabytes_up() -> None:
    """A large request body arrives as it was sent."""
    with Network(seed=1, link=SLOW) as net:
        server, client = net.host("server"), net.host("client")
        store = Store()
        server.listenTCP(80, site(store=store))
        body = net.random.randbytes(TEN_MEGABYTES)

        sent = put(Agent(client), "http://server/store", body)
        assert net.run(sent, on=client) == b"%d" % len(body)
        assert store.content == body
        assert 10 < net.clock.now < 60


def test_ten_megabytes_down(tmp_path: Any) -> None:
    """A large file arrives as it was served."""
    with Network(seed=2, link=SLOW) as net:
        server, client = net.host("server"), net.host("client")
        body = net.random.randbytes(TEN_MEGABYTES)
        FilePath(str(tmp_path)).child("large").setContent(body)
        server.listenTCP(80, Site(File(str(tmp_path))))
        assert net.run(get(Agent(client), "http://server/large")) == body
        assert 10 < net.clock.now < 60


def test_persistent_connections() -> None:
    """A pool keeps its connections for later requests, and closes them when it is told."""
    with Network(seed=3, link=ROUGH) as net:
        server, client = net.host("server"), net.host("client")
        served = site(**{str(number): text(f"page {number}") for number in range(20)})
        server.listenTCP(80, served)
        pool = HTTPConnectionPool(client)
        pool.maxPersistentPerHost = 2
        agent = Agent(client, pool=pool)

        async def all_pages() -> list[bytes]:
            pages = []
            for number in range(0, 20, 2):
                pair = [get(agent, f"http://server/{number + one}") for one in (0, 1)]
                pages += await gatherResults([Deferred.fromCoroutine(page) for page in pair])
            await pool.closeCachedConnections()
            return pages

        assert net.run(all_pages()) == [f"page {number}".encode() for number in range(20)]
        assert served.connections == 2


def test_a_connection_of_the_pool_grows_old() -> None:
    """A pool closes what nobody has used for some time, and opens another when it is needed."""
    with Network(seed=4, link=ROUGH) as net:
        server, client = net.host("server"), net.host("client")
        served = site(page=text("page"))
        server.listenTCP(80, served)
        pool = HTTPConnectionPool(client)
        pool.cachedConnectionTimeout = 30
        agent = Agent(client, pool=pool)
        assert net.run(get(agent, "http://server/page")) == b"page"
        net.advance(29)
        assert net.run(get(agent, "http://server/page")) == b"page"
        assert served.connections == 1
        net.advance(40)
        assert net.run(get(agent, "http://server/page")) == b"page"
        assert served.connections == 2


class Collected(Protocol):
    """Keeps all that it receives until the peer ends."""

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.ended: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended.callback(self.received)


class Late(Resource):
    """Answers after so many seconds."""

    isLeaf = True

    def __init__(self, reactor: Any, seconds: float) -> None:
        super().__init__()
        self.reactor = reactor
        self.seconds = seconds

    def render_GET(self, request: Any) -> int:
        def answer() -> None:
            request.write(b"after %d" % self.seconds)
            request.finish()

        self.reactor.callLater(self.seconds, answer)
        return NOT_DONE_YET


@pytest.mark.parametrize("slicing", [None, OneByte(), RandomSizes(1, 40)])
def test_pipelined_requests(slicing: Any) -> None:
    """Requests that come in one segment, or in many, are answered in their order, also when the first takes longest."""
    with Network(seed=5, link={**ROUGH, "slicing": slicing}) as net:
        server, client = net.host("server"), net.host("client")
        server.listenTCP(80, site(**{str(seconds): Late(server, seconds) for seconds in (5, 1, 3)}))

        async def ask() -> bytes:
            wanted = Collected()
            await connectProtocol(TCP4ClientEndpoint(client, server.addresses[0], 80), wanted)
            wanted.transport.write(
                b"GET /5 HTTP/1.1\r\nHost: server\r\n\r\n"
                b"GET /1 HTTP/1.1\r\nHost: server\r\n\r\n"
                b"GET /3 HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n"
            )
            return await wanted.ended

        answers = net.run(ask())
        assert answers.count(b"HTTP/1.1 200 OK") == 3
        assert answers.index(b"after 5") < answers.index(b"after 1") < answers.index(b"after 3")


def secured(server: Host, served: Site, signer: str = "authority") -> None:
    server.listenSSL(443, served, certificate("server", signer).options())


def test_https() -> None:
    """A client that trusts the authority reads a page, large enough for many records."""
    with Network(seed=6, link=ROUGH) as net:
        server, client = net.host("server"), net.host("client")
        body = net.random.randbytes(300_000)
        secured(server, site(page=Data(body, "application/octet-stream")))
        agent = Agent(client, BrowserLikePolicyForHTTPS(trust_root()))
        assert net.run(get(agent, "https://server/page")) == body


def test_https_of_a_stranger() -> None:
    """A client does not read from a server that somebody else vouches for."""
    with Network(seed=7, link=ROUGH) as net:
        server, client = net.host("server"), net.host("client")
        secured(server, site(page=text("page")), "stranger")
        agent = Agent(client, BrowserLikePolicyForHTTPS(trust_root()))
        with pytest.raises(ResponseNeverReceived) as raised:
            net.run(get(agent, "https://server/page"))
        assert "certificate verify failed" in str(raised.value.reasons)


def test_https_of_another_name() -> None:
    """A client does not read from a server whose certificate is for another name."""
    with Network(seed=8, link=ROUGH) as net:
        server, client = net.host("server"), net.host("client")
        net.names.add("impostor", *server.addresses)
        secured(server, site(page=text("page")))
        agent = Agent(client, BrowserLikePolicyForHTTPS(trust_root()))
        with pytest.raises(ResponseNeverReceived) as raised:
            net.run(get(agent, "https://impostor/page"))
        assert "VerificationError" in str(raised.value.reasons)


@implementer(IPushProducer)
class Streamed(Resource):
    """Streams pieces for as long as the transport lets it.

    Attributes:
        pauses: How often the transport has had enough.
    """

    isLeaf = True

    def __init__(self, reactor: Host, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self.reactor = reactor
        self.pieces = pieces
        self.pauses = 0
        self.flows = False

    def render_GET(self, request: Any) -> int:
        self.request = request
        request.registerProducer(self, True)
        self.resumeProducing()
        return NOT_DONE_YET

    def resumeProducing(self) -> None:
        self.flows = True
        self.reactor.callLater(0, self._go_on)

    def pauseProducing(self) -> None:
        self.flows = False
        self.pauses += 1

    def stopProducing(self) -> None:
        self.flows = False

    def _go_on(self) -> None:
        while self.flows:
            piece = next(self.pieces, None)
            if piece is None:
                self.request.unregisterProducer()
                self.request.finish()
                return
            self.request.write(piece)


class Slow(Protocol):
    """Reads a little, then rests for a second."""

    transport: Any

    def __init__(self, reactor: Host) -> None:
        self.reactor = reactor
        self.received: list[bytes] = []
        self.whole: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)
        self.transport.pauseProducing()
        self.reactor.callLater(1.0, self.transport.resumeProducing)

    def connectionLost(self, reason: Any = None) -> None:
        self.whole.callback(b"".join(self.received))


def test_a_streamed_response_and_a_slow_reader() -> None:
    """A chunked response waits for a reader that is slower than its source, and arrives whole."""
    with Network(seed=9, link={**ROUGH, "coalescing": True}) as net:
        server, client = net.host("server"), net.host("client")
        pieces = [net.random.randbytes(net.random.randint(1, 100_000)) for _ in range(60)]
        streamed = Streamed(server, iter(pieces))
        server.listenTCP(80, site(stream=streamed))

        async def read() -> bytes:
            response: Any = await Agent(client).request(b"GET", b"http://server/stream", Headers({}))
            assert response.headers.getRawHeaders(b"content-length") is None
            slow = Slow(client)
            response.deliverBody(slow)
            return await slow.whole

        assert net.run(read()) == b"".join(pieces)
        assert streamed.pauses > 5
        assert net.clock.now > 20


def test_a_restart() -> None:
    """A client whose server crashes during an upload gets an error after the restart, and then an answer."""
    with Network(seed=10, link={**ROUGH, "rate": 10_000}) as net:
        boots: list[Host] = []

        def boot(host: Host) -> None:
            boots.append(host)
            net.start(TCP4ServerEndpoint(host, 80).listen(site(page=text("page"), store=Store())))

        server, client = net.host("server", boot=boot), net.host("client")
        agent = Agent(client)
        assert net.run(get(agent, "http://server/page")) == b"page"
        asked = net.start(put(agent, "http://server/store", bytes(90_000)), on=client)
        net.advance(3)
        net.crash(server)
        net.advance(5)
        assert not asked.called
        net.restart(server)
        with pytest.raises(ResponseNeverReceived) as raised:
            net.run(asked)
        assert any(reason.check(ConnectionLost) for reason in raised.value.reasons)
        assert net.run(get(agent, "http://server/page")) == b"page"
        assert boots == [server, server]


def test_a_cached_connection_of_a_server_that_has_restarted() -> None:
    """A pool tries again over a new connection when its old one turns out to be dead."""
    with Network(seed=11, link=ROUGH) as net:
        sites: list[Counted] = []

        def boot(host: Host) -> None:
            sites.append(site(page=text("page")))
            host.listenTCP(80, sites[-1])

        net.host("server", boot=boot)
        client = net.host("client")
        agent = Agent(client, pool=HTTPConnectionPool(client))
        assert net.run(get(agent, "http://server/page")) == b"page"
        net.crash("server")
        net.restart("server")
        assert net.run(get(agent, "http://server/page")) == b"page"
        assert [served.connections for served in sites] == [1, 1]


def test_nobody_serves() -> None:
    """A client of a host that does not listen is refused."""
    with Network(seed=12, link=ROUGH) as net:
        net.host("server")
        client = net.host("client")
        with pytest.raises(ConnectionRefusedError):
            net.run(get(Agent(client), "http://server/page"))


def test_the_global_reactor() -> None:
    """Code that imports the reactor has the one of its host, at each end."""
    with Network(seed=13, link=ROUGH) as net:
        server, client = net.host("server"), net.host("client")

        async def serve() -> None:
            from twisted.internet import reactor

            late = Late(reactor, 2)
            await serverFromString(reactor, "tcp:8080").listen(site(late=late))

        async def read() -> bytes:
            from twisted.internet import reactor

            return await get(Agent(reactor), "http://server:8080/late")

        net.run(serve(), on=server)
        assert net.run(read(), on=client) == b"after 2"
        assert [type(reader).__name__ for reader in server.getReaders()] == ["TcpPort"]
