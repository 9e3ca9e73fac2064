"""twisted.protocols.ftp, client and server: transfers in both directions, connections opened by either end.

Both classes keep `reactor.listenTCP` or `reactor.connectTCP` as an attribute from the moment of their import, for passive
transfers, and let a program replace it: so do these tests. Nothing else is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.cred.checkers import AllowAnonymousAccess, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import ClientCreator, Protocol
from twisted.protocols import ftp

from twistnet.simulation import Host, Network, Partition, RandomSizes

ROUGH = {"latency": 0.02, "jitter": 0.005, "loss": 0.02, "slicing": RandomSizes(1, 1460)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The server's files."""
    (tmp_path / "public").mkdir()
    (tmp_path / "home" / "zoe").mkdir(parents=True)
    return tmp_path


class Collected(Protocol):
    """A file on its way in."""

    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data


def serve(host: Host, folder: Path) -> ftp.FTPFactory:
    realm = ftp.FTPRealm(str(folder / "public"), str(folder / "home"))
    passwords: Any = InMemoryUsernamePasswordDatabaseDontUse()
    passwords.addUser("zoe", "secret")  # in words: so FTP has them
    factory = ftp.FTPFactory(Portal(realm, [AllowAnonymousAccess(), passwords]))

    class Passive(ftp.FTP):
        listenFactory = host.listenTCP

    factory.protocol = Passive
    host.listenTCP(21, factory)
    return factory


def log_in(net: Network, host: Host, name: str, password: str, *, passive: bool) -> Any:
    creator = ClientCreator(host, ftp.FTPClient, name, password, passive=passive)
    client: Any = net.run(creator.connectTCP("server", 21), on=host)
    client.connectFactory = host.connectTCP
    return client


@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
def test_files(folder: Path, passive: bool) -> None:
    """A user stores a file, lists it, reads it again and deletes it."""
    with Network(seed=101, link=ROUGH) as net:
        server, host = net.host("server"), net.host("client")
        serve(server, folder)
        client = log_in(net, host, "zoe", "secret", passive=passive)
        content = net.random.randbytes(300_000)

        async def there_and_back() -> bytes:
            consumer, stored = client.storeFile("a file")
            writer = await consumer
            writer.write(content)
            writer.finish()
            await stored
            listed = ftp.FTPFileListProtocol()
            await client.list(".", listed)
            assert [(file["filename"], file["size"]) for file in listed.files] == [("a file", len(content))]
            read = Collected()
            await client.retrieveFile("a file", read)
            await client.removeFile("a file")
            await client.quit()
            return read.received

        assert net.run(there_and_back(), on=host) == content
        assert list((folder / "home" / "zoe").iterdir()) == []


def test_one_after_the_other(folder: Path) -> None:
    """Several files are asked for at once, and come in order over connections of their own."""
    with Network(seed=102, link=ROUGH) as net:
        server, host = net.host("server"), net.host("client")
        serve(server, folder)
        contents = [net.random.randbytes(20_000) for _ in range(10)]
        for number, content in enumerate(contents):
            (folder / "public" / str(number)).write_bytes(content)
        client = log_in(net, host, "anonymous", "me@client", passive=True)
        reads = [Collected() for _ in contents]
        net.run(gatherResults([client.retrieveFile(str(number), read) for number, read in enumerate(reads)]))
        assert [read.received for read in reads] == contents


def test_a_partition(folder: Path) -> None:
    """A transfer that a partition interrupts goes on after it."""
    with Network(seed=103, link={**ROUGH, "rate": 50_000}) as net:
        server, host = net.host("server"), net.host("client")
        serve(server, folder)
        content = net.random.randbytes(400_000)
        (folder / "public" / "large").write_bytes(content)
        client = log_in(net, host, "anonymous", "me@client", passive=True)
        read = Collected()
        done: Deferred[Any] = net.start(client.retrieveFile("large", read))
        net.advance(2)
        with net.fault(Partition("server", "client")):
            net.advance(60)
            assert 0 < len(read.received) < len(content)
        net.run(done)
        assert read.received == content


def test_a_wrong_password(folder: Path) -> None:
    """Nobody gets at the files of others."""
    with Network(seed=104, link=ROUGH) as net:
        server, host = net.host("server"), net.host("client")
        serve(server, folder)
        client = log_in(net, host, "zoe", "guess", passive=True)
        with pytest.raises(ftp.ConnectionLost):
            net.run(client.retrieveFile("a file", Collected()))


def test_a_session_that_is_idle(folder: Path) -> None:
    """The server ends a session that says nothing for its timeout."""
    with Network(seed=105, link=ROUGH) as net:
        server, host = net.host("server"), net.host("client")
        factory = serve(server, folder)
        client = log_in(net, host, "anonymous", "me@client", passive=True)
        net.advance(factory.timeOut - 5)
        assert client.transport.connected
        net.advance(10)
        assert not client.transport.connected
