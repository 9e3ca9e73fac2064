"""twisted.mail's IMAP and POP3, client and server, unmodified: a mailbox read over links that cut it anywhere."""

from __future__ import annotations

import io
from typing import Any

import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import gatherResults, succeed
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.mail import imap4, pop3
from zope.interface import implementer

from twistnet.simulation import Host, Network, OneByte, Partition, RandomSizes

from .certificates import certificate, trust_root

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
"""What Twisted says of itself."""

ROUGH = {"latency": 0.02, "jitter": 0.005, "loss": 0.02, "slicing": RandomSizes(1, 200)}
BY_OCTETS = {"latency": 0.02, "jitter": 0.005, "loss": 0.005, "slicing": OneByte()}
LINKS = pytest.mark.parametrize("link", [ROUGH, BY_OCTETS], ids=["rough", "by octets"])
LETTERS = [
    b"Subject: first\r\n\r\nhello\r\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n.leading\r\n",
    b"Subject: long\r\n\r\n" + b"another line {5} of it\r\n" * 200,
]


@implementer(pop3.IMailbox)
class Drop(pop3.Mailbox):
    """Letters to be taken away.

    Attributes:
        letters: Those that are there.
    """

    def __init__(self, letters: list[bytes]) -> None:
        self.letters = letters
        self.gone: set[int] = set()

    def listMessages(self, i: Any = None) -> Any:
        sizes = [0 if at in self.gone else len(letter) for at, letter in enumerate(self.letters)]
        return sizes if i is None else sizes[i]

    def getMessage(self, i: int) -> Any:
        return io.BytesIO(self.letters[i].replace(b"\r\n", b"\n"))  # as files have it

    def getUidl(self, i: int) -> Any:
        return b"letter-%d" % i

    def deleteMessage(self, i: int) -> None:
        self.gone.add(i)

    def undeleteMessages(self) -> None:
        self.gone.clear()

    def sync(self) -> None:
        self.letters[:] = [letter for at, letter in enumerate(self.letters) if at not in self.gone]


@implementer(IRealm)
class Drops:
    """One drop for everybody."""

    def __init__(self, letters: list[bytes]) -> None:
        self.letters = letters

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        return pop3.IMailbox, Drop(self.letters), lambda: None


def pop_client(net: Network, letters: list[bytes]) -> Any:
    """A client that has connected to a server of its host's letters."""
    server, client = net.host("server"), net.host("client")
    portal = Portal(Drops(letters), [InMemoryUsernamePasswordDatabaseDontUse(zoe=b"secret")])

    def session() -> Any:
        made: Any = pop3.POP3()
        made.portal = portal
        return made

    server.listenTCP(110, Factory.forProtocol(session))
    made: Any = pop3.AdvancedPOP3Client()
    return net.run(connectProtocol(HostnameEndpoint(client, "server", 110), made))


async def log_in(client: Any, password: bytes) -> None:
    """Not with `client.login`: it would choose APOP, for which Twisted's server compares text with octets."""
    await client.user(b"zoe")
    await client.password(password)


@LINKS
def test_pop3(link: dict[str, Any]) -> None:
    """Letters are listed, read as they are and deleted, the questions sent without waiting for answers."""
    with Network(seed=121, link=link) as net:
        letters = [*LETTERS]
        client = pop_client(net, letters)
        net.run(log_in(client, b"secret"))
        asked = [client.listSize(), client.listUID(), *(client.retrieve(at) for at in range(3))]
        sizes, names, *read = net.run(gatherResults(asked))
        assert sizes == [len(letter) for letter in LETTERS]
        assert names == [b"letter-0", b"letter-1", b"letter-2"]
        assert [b"".join(line + b"\r\n" for line in lines) for lines in read] == LETTERS
        net.run(gatherResults([client.delete(1), client.quit()]))
        assert letters == [LETTERS[0], LETTERS[2]]


def test_pop3_with_a_wrong_password() -> None:
    """Nobody reads the letters of others."""
    with Network(seed=122, link=ROUGH) as net:
        client = pop_client(net, [*LETTERS])
        with pytest.raises(pop3.ServerErrorResponse):
            net.run(log_in(client, b"guess"))


@implementer(imap4.IMessageFile)
class Letter:
    """A letter in a folder."""

    def __init__(self, text: bytes, flags: Any) -> None:
        self.text = text
        self.flags = flags

    def open(self) -> Any:
        return io.BytesIO(self.text)


class Folder:
    """Keeps letters, and tells those who have selected it of new ones."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.listeners: list[Any] = []
        self.addListener = self.listeners.append
        self.removeListener = self.listeners.remove

    def getFlags(self) -> list[str]:
        return ["\\Seen"]

    def getUIDValidity(self) -> int:
        return 1

    def getUIDNext(self) -> int:
        return len(self.letters) + 1

    def getMessageCount(self) -> int:
        return len(self.letters)

    def getRecentCount(self) -> int:
        return 0

    def getHierarchicalDelimiter(self) -> str:
        return "/"

    def isWriteable(self) -> bool:
        return True

    def addMessage(self, message: Any, flags: Any = (), date: Any = None) -> Any:
        self.letters.append(Letter(message.read(), flags))
        for listener in self.listeners:
            listener.newMessages(len(self.letters), None)
        return succeed(len(self.letters))

    def fetch(self, messages: Any, uid: bool) -> Any:
        messages.last = len(self.letters)
        return [(number, self.letters[number - 1]) for number in messages]


class Reader(imap4.IMAP4Client):
    """Notes how many letters there are, whenever it is told."""

    def __init__(self) -> None:
        super().__init__(optionsForClientTLS("server", trust_root()))
        self.counts: list[Any] = []

    def newMessages(self, exists: Any, recent: Any) -> None:
        self.counts.append(exists)


class Accounts:
    """One account for everybody, and a server of it.

    Attributes:
        folder: Its inbox.
    """

    def __init__(self, net: Network) -> None:
        self.net = net
        self.server = net.host("server")
        self.folder = Folder()
        account = imap4.MemoryAccount("zoe")
        account.addMailbox("inbox", self.folder)
        realm: Any = Realm(account)
        portal = Portal(realm, [InMemoryUsernamePasswordDatabaseDontUse(zoe=b"secret")])

        def session() -> Any:
            made: Any = imap4.IMAP4Server(contextFactory=certificate("server").options())
            made.portal = portal
            return made

        self.server.listenTCP(143, Factory.forProtocol(session))

    def client(self, name: str, password: bytes = b"secret") -> Reader:
        """Somebody who has gone over to TLS, and logged in."""
        host: Host = self.net.host(name)
        reader: Reader = self.net.run(connectProtocol(HostnameEndpoint(host, "server", 143), Reader()))

        async def log_in() -> None:
            await reader.getCapabilities()
            await reader.startTLS()
            await reader.login(b"zoe", password)
            await reader.select(b"inbox")

        self.net.run(log_in())
        return reader


@implementer(IRealm)
class Realm:
    """Where the account is."""

    def __init__(self, account: Any) -> None:
        self.account = account

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        return imap4.IAccount, self.account, lambda: None


@LINKS
def test_imap(link: dict[str, Any]) -> None:
    """After STARTTLS and a login, letters are appended as literals, read as they were, and announced to others."""
    with Network(seed=123, link=link) as net:
        accounts = Accounts(net)
        writer, reader = accounts.client("writer"), accounts.client("reader")
        for letter in LETTERS:
            net.run(writer.append(b"inbox", io.BytesIO(letter), ("\\Seen",)))
        net.settle()
        assert reader.counts == [1, 2, 3]
        fetched = net.run(reader.fetchMessage("1:*"))
        assert {at: each["RFC822"].encode() for at, each in fetched.items()} == dict(enumerate(LETTERS, 1))
        assert [letter.text for letter in accounts.folder.letters] == LETTERS


def test_imap_with_a_wrong_password() -> None:
    """Nobody reads the letters of others."""
    with Network(seed=124, link=ROUGH) as net:
        accounts = Accounts(net)
        with pytest.raises(imap4.IMAP4Exception, match="LOGIN failed"):
            accounts.client("guesser", b"guess")


def test_imap_in_a_partition() -> None:
    """What is written during a partition is there after it, once."""
    with Network(seed=125, link=ROUGH) as net:
        accounts = Accounts(net)
        writer = accounts.client("writer")
        with net.fault(Partition("server", "writer")):
            written = net.start(writer.append(b"inbox", io.BytesIO(LETTERS[2])))
            net.advance(60)
            assert not written.called
        net.run(written)
        assert [letter.text for letter in accounts.folder.letters] == [LETTERS[2]]
