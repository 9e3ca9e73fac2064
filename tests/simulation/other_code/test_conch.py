"""twisted.conch, client and server, unmodified: SSH over slow links that cut the stream anywhere."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from zope.interface import implementer

from twistnet.simulation import Host, Network, OneByte, Partition, RandomSizes

with warnings.catch_warnings():  # a module of Python's that is on its way out
    warnings.simplefilter("ignore", DeprecationWarning)
    from twisted.conch.avatar import ConchUser
    from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
    from twisted.conch.client.knownhosts import KnownHostsFile
    from twisted.conch.endpoints import AuthenticationFailed, SSHCommandClientEndpoint
    from twisted.conch.error import HostKeyChanged
    from twisted.conch.interfaces import ISession
    from twisted.conch.ssh.factory import SSHFactory
    from twisted.conch.ssh.keys import Key
    from twisted.conch.ssh.session import SSHSession, wrapProtocol

ROUGH = {"latency": 0.02, "jitter": 0.005, "loss": 0.02, "slicing": RandomSizes(1, 400)}
HOST_KEY, USER_KEY = Key(Ed25519PrivateKey.generate()), Key(Ed25519PrivateKey.generate())


class Command(Protocol):
    """What runs on the server: `cat` echoes, `digest` answers at the end of its input, anything else fails there."""

    transport: Any

    def __init__(self, line: bytes) -> None:
        self.line = line
        self.digest = hashlib.sha256()

    def dataReceived(self, data: bytes) -> None:
        self.digest.update(data)
        if self.line == b"cat":
            self.transport.write(data)

    def input_ended(self) -> None:
        if self.line == b"digest":
            self.transport.write(self.digest.digest())
        known = self.line in {b"cat", b"digest"}
        self.transport.processEnded(Failure(ProcessDone(0) if known else ProcessTerminated(exitCode=127)))


@implementer(ISession)
class User(ConchUser):
    """Somebody who may run a command on each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.channelLookup[b"session"] = Session

    def getPty(self, terminal: Any, windowSize: Any, modes: Any) -> None:
        """There are none."""

    def windowChanged(self, windowSize: Any) -> None:
        """There are none."""

    def openShell(self, proto: Any) -> None:
        raise NotImplementedError("commands only")

    def execCommand(self, proto: Any, command: bytes) -> None:
        running = proto.session.running = Command(command)
        running.makeConnection(proto)
        proto.makeConnection(wrapProtocol(running))

    def eofReceived(self) -> None:
        """See `Session.eofReceived`: a user may have several."""

    def closed(self) -> None:
        """Nothing is kept."""


class Session(SSHSession):
    """A channel that tells its own command of the end of the input."""

    running: Command

    def eofReceived(self) -> None:
        self.running.input_ended()


@implementer(IRealm)
class Realm:
    """Everybody is a user."""

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        return interfaces[0], User(), lambda: None


def served(host: Host) -> None:
    """Listen for SSH, with a password and a key for zoe."""
    checkers = [
        InMemoryUsernamePasswordDatabaseDontUse(zoe=b"secret"),
        SSHPublicKeyChecker(InMemorySSHKeyDB({b"zoe": [USER_KEY.public()]})),
    ]
    factory: Any = SSHFactory()
    factory.portal = Portal(Realm(), checkers)
    factory.publicKeys = {b"ssh-ed25519": HOST_KEY.public()}
    factory.privateKeys = {b"ssh-ed25519": HOST_KEY}
    host.listenTCP(22, factory)


class Console:
    """Nobody is there to be asked."""

    def prompt(self, text: bytes) -> Any:
        raise AssertionError(text)

    def warn(self, text: bytes) -> None:
        """Nobody reads it."""


class Output(Protocol):
    """What the command has written, and how it has ended.

    Attributes:
        wanted: How many octets make it complete.
    """

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.wanted = 0
        self.complete: Deferred[None] = Deferred()
        self.ended: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if len(self.received) == self.wanted:
            self.complete.callback(None)

    def end_input(self) -> None:
        self.transport.conn.sendEOF(self.transport)

    def connectionLost(self, reason: Any = None) -> None:
        if reason.check(ProcessTerminated):
            self.ended.errback(reason)
        else:
            self.ended.callback(self.received)


class Shell:
    """A client that knows the server's key.

    Attributes:
        client: Its host.
    """

    def __init__(self, net: Network, folder: Path, key: Key = HOST_KEY) -> None:
        net.host("server", boot=served)
        self.client = net.host("client")
        self.known: Any = KnownHostsFile(FilePath(str(folder / "known_hosts")))
        self.known.addHostKey(b"server", key.public())
        self.known.addHostKey(net.hosts["server"].addresses[0].encode(), key.public())
        self.console: Any = Console()
        self.net = net

    def run(self, command: bytes, **credentials: Any) -> Output:
        """Run a command over a connection of its own."""
        endpoint = SSHCommandClientEndpoint.newConnection(
            self.client,
            command,
            b"zoe",
            b"server",
            knownHosts=self.known,
            ui=self.console,
            **(credentials or {"keys": [USER_KEY]}),
        )
        output: Output = self.net.run(endpoint.connect(Factory.forProtocol(Output)))
        return output


@pytest.mark.parametrize("slicing", [RandomSizes(1, 400), OneByte()], ids=["random", "one octet"])
@pytest.mark.parametrize(
    "credentials", [{"keys": [USER_KEY]}, {"password": b"secret"}], ids=["key", "password"]
)
def test_a_command(tmp_path: Path, credentials: dict[str, Any], slicing: Any) -> None:
    """A command reads what the client writes, answers and ends."""
    with Network(seed=61, link={**ROUGH, "slicing": slicing}) as net:
        output = Shell(net, tmp_path).run(b"digest", **credentials)
        output.transport.write(b"some words")
        output.end_input()
        assert net.run(output.ended) == hashlib.sha256(b"some words").digest()


def test_a_large_transfer(tmp_path: Path) -> None:
    """More than SSH's windows hold goes there and comes back."""
    with Network(seed=62, link={**ROUGH, "slicing": RandomSizes(1, 1460)}) as net:
        output = Shell(net, tmp_path).run(b"cat")
        body = net.random.randbytes(1_000_000)
        output.wanted = len(body)
        output.transport.write(body)
        net.run(output.complete)
        assert output.received == body


def test_several_commands_on_one_connection(tmp_path: Path) -> None:
    """Channels of one connection don't mix."""
    with Network(seed=63, link=ROUGH) as net:
        first = Shell(net, tmp_path).run(b"digest")
        endpoint = SSHCommandClientEndpoint.existingConnection(first.transport.conn, b"digest")
        more = [endpoint.connect(Factory.forProtocol(Output)) for _ in range(4)]
        outputs = [first, *net.run(gatherResults(more))]
        for part in range(10):
            for number, output in enumerate(outputs):
                output.transport.write(b"%d" % number * (part + 1))
        for number, output in reversed([*enumerate(outputs)]):  # the connection ends with the first
            output.end_input()
            assert net.run(output.ended) == hashlib.sha256(b"%d" % number * 55).digest()


def test_a_command_that_fails(tmp_path: Path) -> None:
    """The client is told how a command has ended."""
    with Network(seed=64, link=ROUGH) as net:
        output = Shell(net, tmp_path).run(b"rm")
        output.end_input()
        with pytest.raises(ProcessTerminated) as raised:
            net.run(output.ended)
        assert raised.value.exitCode == 127


def test_a_wrong_password(tmp_path: Path) -> None:
    """Nobody gets in with a wrong password."""
    with Network(seed=65, link=ROUGH) as net:
        with pytest.raises(AuthenticationFailed):
            Shell(net, tmp_path).run(b"cat", password=b"guess")


def test_a_server_with_another_key(tmp_path: Path) -> None:
    """A client does not talk to a server whose key is not the one it knows."""
    with Network(seed=66, link=ROUGH) as net:
        stranger = Key(Ed25519PrivateKey.generate())
        with pytest.raises(HostKeyChanged):
            Shell(net, tmp_path, stranger).run(b"cat")


def test_a_partition(tmp_path: Path) -> None:
    """A session goes on after a partition of a minute."""
    with Network(seed=67, link=ROUGH) as net:
        output = Shell(net, tmp_path).run(b"digest")
        with net.fault(Partition("server", "client")):
            output.transport.write(b"written meanwhile")
            output.end_input()
            net.advance(60)
            assert not output.ended.called
        assert net.run(output.ended) == hashlib.sha256(b"written meanwhile").digest()


def test_a_crash(tmp_path: Path) -> None:
    """A connection is lost when its server has started again, and the next one works."""
    with Network(seed=68, link=ROUGH) as net:
        shell = Shell(net, tmp_path)
        output = shell.run(b"digest")
        connection = output.transport.conn.transport.transport
        net.crash("server")
        output.transport.write(b"lost")
        net.advance(10)
        assert connection.connected
        net.restart("server")
        net.settle()
        assert not connection.connected  # which the endpoint of conch does not tell its commands
        again = shell.run(b"digest")
        again.end_input()
        assert net.run(again.ended) == hashlib.sha256().digest()
