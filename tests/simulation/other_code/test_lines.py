"""Protocols of lines, unmodified: LineReceiver, finger, memcache and IRC, one octet at a time."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.basic import Int32StringReceiver, LineReceiver, NetstringReceiver
from twisted.protocols.finger import Finger
from twisted.protocols.memcache import ClientError, MemCacheProtocol
from twisted.words import service
from twisted.words.protocols import irc

from twistnet.simulation import Host, Network, OneByte, Partition, RandomSizes

ROUGH = {"latency": 0.02, "jitter": 0.005, "loss": 0.02, "slicing": RandomSizes(1, 100)}
BY_OCTETS = {"latency": 0.02, "jitter": 0.005, "loss": 0.005, "slicing": OneByte()}
LINKS = pytest.mark.parametrize("link", [ROUGH, BY_OCTETS], ids=["rough", "by octets"])


def connect(net: Network, client: Host, port: int, protocol: Any) -> Any:
    return net.run(connectProtocol(HostnameEndpoint(client, "server", port), protocol))


class Echo(LineReceiver):
    """Echoes lines, and as many raw octets as it is told to expect."""

    transport: Any
    raw = 0

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line)
        if line.startswith(b"raw "):
            self.raw = int(line[4:])
            self.setRawMode()

    def rawDataReceived(self, data: bytes) -> None:
        taken, rest = data[: self.raw], data[self.raw :]
        self.transport.write(taken)
        self.raw -= len(taken)
        if not self.raw:
            self.setLineMode(rest)


class Collected(Protocol):
    """Keeps what it receives, until there is as much as it wants, or the peer ends."""

    transport: Any

    def __init__(self, wanted: int = -1) -> None:
        self.wanted = wanted
        self.received = b""
        self.complete: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if len(self.received) == self.wanted:
            self.complete.callback(self.received)

    def connectionLost(self, reason: Any = None) -> None:
        if not self.complete.called:
            self.complete.callback(self.received)


@LINKS
def test_lines_and_raw_octets(link: dict[str, Any]) -> None:
    """Lines, then octets that look like lines, then lines again come back as they went."""
    with Network(seed=111, link=link) as net:
        server, client = net.host("server"), net.host("client")
        server.listenTCP(7, Factory.forProtocol(Echo))
        raw = b"\r\n\r".join(net.random.randbytes(40) for _ in range(20))
        sent = b"one\r\n\r\nraw %d\r\n" % len(raw) + raw + b"two\r\n" + b"x" * 16384 + b"\r\n"
        peer = connect(net, client, 7, Collected(len(sent)))
        peer.transport.write(sent)
        assert net.run(peer.complete) == sent


def test_a_line_that_is_too_long() -> None:
    """A line longer than LineReceiver allows ends the connection."""
    with Network(seed=112, link=ROUGH) as net:
        server, client = net.host("server"), net.host("client")
        server.listenTCP(7, Factory.forProtocol(Echo))
        peer = connect(net, client, 7, Collected())
        peer.transport.write(b"short\r\n" + b"x" * 20_000)
        assert net.run(peer.complete) == b"short\r\n"


@pytest.mark.parametrize("kind", [NetstringReceiver, Int32StringReceiver])
def test_strings_with_lengths(kind: Any) -> None:
    """Strings of all lengths arrive as they were sent, in order, both ways."""

    class Receiver(kind):  # type: ignore[misc]
        def __init__(self, echoes: bool) -> None:
            self.echoes = echoes
            self.strings: list[bytes] = []

        def stringReceived(self, string: bytes) -> None:
            self.strings.append(string)
            if self.echoes:
                self.sendString(string)

    with Network(seed=113, link=BY_OCTETS) as net:
        server, client = net.host("server"), net.host("client")
        server.listenTCP(7, Factory.forProtocol(lambda: Receiver(True)))
        peer = connect(net, client, 7, Receiver(False))
        strings = [net.random.randbytes(length) for length in (0, 1, 2, 255, 256, 1000, 3000)]
        for string in strings:
            peer.sendString(string)
        net.settle()
        assert peer.strings == strings


class Users(Finger):
    """Knows one user."""

    transport: Any

    def getUser(self, slash_w: int, user: bytes) -> None:
        if user != b"zoe":
            super().getUser(slash_w, user)
            return
        self.transport.write(b"Login: zoe" + (b" /W" if slash_w else b"") + b"\n")
        self.transport.loseConnection()


@LINKS
def test_finger(link: dict[str, Any]) -> None:
    """Each question has its answer, and then the end."""
    with Network(seed=114, link=link) as net:
        server, client = net.host("server"), net.host("client")
        server.listenTCP(79, Factory.forProtocol(Users))
        questions = {
            b"zoe": b"Login: zoe\n",
            b"/W zoe": b"Login: zoe /W\n",
            b"ivan": b"Login: ivan\nNo such user\n",
            b"": b"Finger online list denied\n",
            b"zoe@elsewhere": b"Finger forwarding service denied\n",
        }
        peers = {question: connect(net, client, 79, Collected()) for question in questions}
        for question, peer in peers.items():
            peer.transport.write(question + b"\r\n")
        net.run(gatherResults([peer.complete for peer in peers.values()]))
        assert {question: peer.received for question, peer in peers.items()} == questions


class Memory(LineReceiver):
    """A few commands of memcached.

    Attributes:
        kept: What all connections share.
    """

    def __init__(self, kept: dict[bytes, bytes]) -> None:
        self.kept = kept
        self.key, self.length, self.value = b"", 0, b""

    def lineReceived(self, line: bytes) -> None:
        command, *arguments = line.split()
        if command == b"set":
            self.key, self.length, self.value = arguments[0], int(arguments[3]) + 2, b""
            self.setRawMode()
        elif command == b"get":
            for key in arguments:
                if key in self.kept:
                    self.sendLine(b"VALUE %b 0 %d" % (key, len(self.kept[key])))
                    self.sendLine(self.kept[key])
            self.sendLine(b"END")
        elif command == b"incr":
            self.kept[arguments[0]] = b"%d" % (int(self.kept[arguments[0]]) + int(arguments[1]))
            self.sendLine(self.kept[arguments[0]])
        elif command == b"version":
            self.sendLine(b"CLIENT_ERROR not told")

    def rawDataReceived(self, data: bytes) -> None:
        missing = self.length - len(self.value)
        self.value += data[:missing]
        if len(self.value) == self.length:
            self.kept[self.key] = self.value[:-2]
            self.sendLine(b"STORED")
            self.setLineMode(data[missing:])


@LINKS
def test_memcache(link: dict[str, Any]) -> None:
    """Commands that follow each other without waiting are answered in order."""
    with Network(seed=115, link=link) as net:
        server, client = net.host("server"), net.host("client")
        kept: dict[bytes, bytes] = {}
        server.listenTCP(11211, Factory.forProtocol(lambda: Memory(kept)))
        cache = connect(net, client, 11211, MemCacheProtocol())
        values = {b"key%d" % number: net.random.randbytes(number * 10) for number in range(30)}
        stored = [cache.set(key, value) for key, value in values.items()]
        read = [cache.get(key) for key in values]
        assert net.run(gatherResults(stored)) == [True] * 30
        assert net.run(gatherResults(read)) == [(0, value) for value in values.values()]
        many = net.run(cache.getMultiple([*values, b"missing"]))
        assert many == {key: (0, value) for key, value in values.items()} | {b"missing": (0, None)}
        assert net.run(cache.set(b"count", b"1"))
        assert net.run(gatherResults([cache.increment(b"count") for _ in range(20)])) == [*range(2, 22)]
        with pytest.raises(ClientError):
            net.run(cache.version())


def test_memcache_in_a_partition() -> None:
    """A client of memcache gives up after its timeout, and its connection with it."""
    with Network(seed=116, link=ROUGH) as net:
        server, client = net.host("server"), net.host("client")
        server.listenTCP(11211, Factory.forProtocol(lambda: Memory({})))
        cache = connect(net, client, 11211, MemCacheProtocol(timeOut=20))
        begun = net.clock.now
        with net.fault(Partition("server", "client")):
            with pytest.raises(TimeoutError):
                net.run(cache.get(b"key"))
            assert net.clock.now - begun == pytest.approx(20)
            net.advance(1)
        with pytest.raises(RuntimeError, match="not connected"):
            net.run(cache.get(b"key"))


class Chatter(irc.IRCClient):
    """Joins a group when it is welcome, and listens.

    Attributes:
        heard: What was said, by whom.
    """

    lineRate = None
    realname: Any = "somebody"
    username: Any
    password: Any

    def __init__(self, nickname: str, host: Host) -> None:
        self.nickname, self.username, self.password = nickname, nickname, "secret"
        self.heard: list[tuple[str, str]] = []
        self.events: dict[str, list[Any]] = defaultdict(list)

    def signedOn(self) -> None:
        self.join("#room")

    def joined(self, channel: str) -> None:
        self.events["joined"].append(channel)

    def userJoined(self, user: str, channel: str) -> None:
        self.events["came"].append(user.partition("!")[0])

    def userLeft(self, user: str, channel: str) -> None:
        self.events["left"].append(user.partition("!")[0])

    def privmsg(self, user: str, channel: str, message: str) -> None:
        self.heard.append((user.partition("!")[0], message))

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.events["lost"].append(reason.type)
        super().connectionLost(reason)


@LINKS
def test_irc(link: dict[str, Any]) -> None:
    """Three users in a room hear each other, in order, and see who comes and goes.

    In ASCII: the server decodes what it reads as it comes, and fails on a character that is cut in two.
    """
    with Network(seed=117, link=link) as net:
        server = net.host("server")
        realm = service.InMemoryWordsRealm("server")
        net.run(realm.addGroup(service.Group("room")))
        passwords: Any = InMemoryUsernamePasswordDatabaseDontUse()
        for name in ("zoe", "ivan", "li"):
            passwords.addUser(name, "secret")
        factory = service.IRCFactory(realm, Portal(realm, [passwords]))
        server.listenTCP(6667, factory)
        users = []
        for name in ("zoe", "ivan", "li"):
            host = net.host(name)
            users.append(connect(net, host, 6667, Chatter(name, host)))
            net.advance(20)
        zoe, ivan, li = users
        assert zoe.events["came"] == ["ivan", "li"]
        for number in range(20):
            zoe.say("#room", f"hello {number}")
        ivan.msg("li", "psst")
        net.advance(20)
        assert ivan.heard == [("zoe", f"hello {number}") for number in range(20)]
        assert sorted(li.heard) == sorted([("ivan", "psst"), *ivan.heard])
        ivan.quit("good night")
        net.advance(20)
        assert ivan.events["lost"] == [ConnectionDone]
        assert li.events["left"] == ["ivan"]
