"""twisted.mail's SMTP, client and server, unmodified: dots, long lines, STARTTLS, logins, servers that are away."""

from __future__ import annotations

import io
from email.generator import BytesGenerator
from email.message import EmailMessage
from typing import Any

import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.mail import smtp
from twisted.mail.imap4 import LOGINCredentials, PLAINCredentials
from zope.interface import implementer

from twistnet.simulation import Host, Network, OneByte, Partition, RandomSizes

from .certificates import certificate, trust_root

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
"""What Twisted says of itself."""

ROUGH = {"latency": 0.02, "jitter": 0.005, "loss": 0.02, "slicing": RandomSizes(1, 200)}
BY_OCTETS = {"latency": 0.02, "jitter": 0.005, "loss": 0.005, "slicing": OneByte()}
DOTS = b"Subject: dots\n\n.\n..\n.leading\nin.the.middle\ntrailing.\n...\n\n.\n"


@implementer(smtp.IMessage)
class Message:
    """A message on its way into a mailbox."""

    def __init__(self, mailbox: list[bytes]) -> None:
        self.mailbox = mailbox
        self.lines: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line)

    def eomReceived(self) -> Deferred[None]:
        self.mailbox.append(b"\n".join([*self.lines, b""]))
        return succeed(None)

    def connectionLost(self) -> None:
        self.lines.clear()


@implementer(smtp.IMessageDelivery, IRealm)
class PostOffice:
    """Takes messages for some users.

    Attributes:
        mailboxes: What each of them has received.
        helos: How its clients have introduced themselves.
    """

    def __init__(self, *users: bytes) -> None:
        self.mailboxes: dict[bytes, list[bytes]] = {user: [] for user in users}
        self.helos: list[bytes] = []

    def receivedHeader(self, helo: Any, origin: Any, recipients: Any) -> bytes:
        self.helos.append(helo[0])
        return b"Received: by the office"

    def validateFrom(self, helo: Any, origin: Any) -> Any:
        return origin

    def validateTo(self, user: Any) -> Any:
        name = user.dest.local
        if name not in self.mailboxes:
            raise smtp.SMTPBadRcpt(user)
        return lambda: Message(self.mailboxes[name])

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        return smtp.IMessageDelivery, self, lambda: None


class Server(smtp.SMTPFactory):
    """A server of a post office.

    Attributes:
        secured: Whether each session that has ended was over TLS.
    """

    domain = b"server"

    def __init__(self, office: PostOffice, portal: Portal | None = None, tls: Any = None) -> None:
        super().__init__()
        self.office, self.logins, self.tls = office, portal, tls
        self.secured: list[bool] = []

    def buildProtocol(self, addr: Any) -> Any:
        factory = self

        class Session(smtp.ESMTP):
            def connectionLost(self, reason: Any = None) -> None:
                factory.secured.append(bool(self.startedTLS))
                super().connectionLost(reason)

        challengers = {b"LOGIN": LOGINCredentials, b"PLAIN": PLAINCredentials} if self.logins else None
        session = Session(challengers, self.tls)
        session.factory = self
        session.host = b"server"
        if self.logins is not None:
            session.portal = self.logins  # type: ignore[assignment]
        else:
            session.delivery = self.office
        return session


def serving(net: Network, office: PostOffice, *settings: Any) -> tuple[Server, Host]:
    """A server, and a client's host."""
    factory = Server(office, *settings)
    net.host("server", boot=lambda host: host.listenTCP(25, factory))
    return factory, net.host("client")


def send(net: Network, client: Host, body: bytes, *recipients: bytes, **settings: Any) -> Deferred[Any]:
    """Send a message as a program on the client's host would."""
    addresses = [recipient + b"@server" for recipient in recipients]
    settings = {"senderDomainName": "client", "reactor": client, **settings}
    sent: Deferred[Any] = smtp.sendmail(b"server", b"me@client", addresses, io.BytesIO(body), **settings)
    return sent


@pytest.mark.parametrize("link", [ROUGH, BY_OCTETS], ids=["rough", "by octets"])
def test_dots(link: dict[str, Any]) -> None:
    """Lines that begin with a dot, or are one, arrive as they were."""
    with Network(seed=51, link=link) as net:
        office = PostOffice(b"zoe")
        _, client = serving(net, office)
        accepted, answers = net.run(send(net, client, DOTS, b"zoe"))
        assert accepted == 1
        assert [(address, code) for address, code, _ in answers] == [(b"zoe@server", 250)]
        assert office.mailboxes == {b"zoe": [b"Received: by the office\n" + DOTS]}
        assert office.helos == [b"client"]


def test_several_messages() -> None:
    """Many messages at once, to one or to several, each arrive once and whole."""
    with Network(seed=52, link={**ROUGH, "slicing": RandomSizes(1, 1460)}) as net:
        office = PostOffice(b"zoe", b"ivan")
        _, client = serving(net, office)
        bodies = []
        for number in range(10):
            message = EmailMessage()
            message["Subject"] = f"number {number}"
            message.set_content("Grüße 🦊 " * 1500)
            written = io.BytesIO()
            BytesGenerator(written).flatten(message)
            bodies.append(written.getvalue())
        net.run(gatherResults([send(net, client, body, b"zoe", b"ivan") for body in bodies]))
        expected = sorted(b"Received: by the office\n" + body for body in bodies)
        assert sorted(office.mailboxes[b"zoe"]) == sorted(office.mailboxes[b"ivan"]) == expected


def test_a_recipient_that_is_unknown() -> None:
    """Who is known gets the message; the sender is told who is not."""
    with Network(seed=53, link=ROUGH) as net:
        office = PostOffice(b"zoe")
        _, client = serving(net, office)
        accepted, answers = net.run(send(net, client, b"hello\n", b"zoe", b"nobody"))
        assert accepted == 1
        assert [code for _, code, _ in answers] == [250, 550]
        with pytest.raises(smtp.SMTPDeliveryError):
            net.run(send(net, client, b"hello\n", b"nobody"))
        assert len(office.mailboxes[b"zoe"]) == 1


@pytest.mark.parametrize("slicing", [RandomSizes(1, 200), OneByte()], ids=["random", "one octet"])
def test_starttls_and_a_login(slicing: Any) -> None:
    """A client begins in the clear, goes on over TLS with a certificate that it trusts, and logs in."""
    with Network(seed=54, link={**BY_OCTETS, "slicing": slicing}) as net:
        office = PostOffice(b"zoe")
        portal = Portal(office, [InMemoryUsernamePasswordDatabaseDontUse(me=b"secret")])
        factory, client = serving(net, office, portal, certificate("server").options())
        done: Deferred[Any] = Deferred()
        sender = smtp.ESMTPSenderFactory(
            b"me",
            b"secret",
            b"me@client",
            b"zoe@server",
            io.BytesIO(DOTS),
            done,
            contextFactory=optionsForClientTLS("server", trust_root()),
            heloFallback=True,
            requireAuthentication=True,
            requireTransportSecurity=True,
        )
        sender.domain = b"client"
        client.connectTCP("server", 25, sender)
        assert net.run(done)[0] == 1
        net.settle()
        assert factory.secured == [True]
        assert office.mailboxes[b"zoe"] == [b"Received: by the office\n" + DOTS]


def test_a_wrong_password() -> None:
    """Nothing is delivered for somebody who can't log in."""
    with Network(seed=55, link=ROUGH) as net:
        office = PostOffice(b"zoe")
        portal = Portal(office, [InMemoryUsernamePasswordDatabaseDontUse(me=b"secret")])
        _, client = serving(net, office, portal)
        settings = {"username": b"me", "password": b"guess", "requireAuthentication": True}
        with pytest.raises(smtp.SMTPClientError):
            net.run(send(net, client, b"hello\n", b"zoe", **settings))
        assert office.mailboxes[b"zoe"] == []


def test_a_partition() -> None:
    """A message that a partition interrupts arrives once, after it."""
    with Network(seed=56, link={**ROUGH, "rate": 20_000}) as net:
        office = PostOffice(b"zoe")
        _, client = serving(net, office)
        body = b"Subject: long\n\n" + b"another line\n" * 10_000
        sent = net.start(send(net, client, body, b"zoe"))
        net.advance(3)
        with net.fault(Partition("server", "client")):
            net.advance(60)
            assert office.mailboxes[b"zoe"] == []
        assert net.run(sent)[0] == 1
        assert office.mailboxes[b"zoe"] == [b"Received: by the office\n" + body]


def test_a_server_that_is_silent() -> None:
    """A session that hangs is given up by the server, after its timeout, and told so."""
    with Network(seed=57, link=ROUGH) as net:
        factory, client = serving(net, PostOffice())

        class Silent(smtp.SMTPClient):
            timeout = None

            def __init__(self) -> None:
                super().__init__(b"client")
                self.said: list[bytes] = []

            def lineReceived(self, line: bytes) -> None:
                self.said.append(line)

        silent = Silent()
        net.run(connectProtocol(HostnameEndpoint(client, "server", 25), silent))
        net.advance(599)
        assert factory.secured == []
        net.advance(10)
        assert factory.secured == [False]
        assert silent.said[-1].startswith(b"421 ")


def test_nobody_listens() -> None:
    """Sending fails when the port refuses."""
    with Network(seed=58, link=ROUGH) as net:
        net.host("server")
        client = net.host("client")
        with pytest.raises(smtp.SMTPConnectError, match="refused"):
            net.run(send(net, client, b"hello\n", b"zoe"))
