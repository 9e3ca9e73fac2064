"""Perspective Broker, unmodified: references both ways, logins, and servers that crash."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.cred.checkers import AllowAnonymousAccess, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import Anonymous, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionLost
from twisted.spread import pb
from zope.interface import implementer

from twistnet.simulation import Host, Network, OneByte, Partition, RandomSizes

ROUGH = {"latency": 0.02, "jitter": 0.005, "loss": 0.02, "slicing": RandomSizes(1, 200)}


class Refused(pb.Error):
    """An error that goes over the wire."""


class Listener(pb.Referenceable):
    """Hears what is published."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def remote_hear(self, news: Any) -> int:
        self.heard.append(news)
        return len(self.heard)


class Publisher(pb.Root):
    """Tells those who have subscribed."""

    def __init__(self) -> None:
        self.subscribers: list[Any] = []

    def remote_echo(self, value: Any) -> Any:
        return value

    def remote_subscribe(self, subscriber: Any) -> None:
        self.subscribers.append(subscriber)

    def remote_is_known(self, subscriber: Any) -> bool:
        known = [(each.broker, each.luid) for each in self.subscribers]
        return (subscriber.broker, subscriber.luid) in known

    async def _publish(self, news: Any) -> list[int]:
        return await gatherResults([each.callRemote("hear", news) for each in self.subscribers])

    def remote_publish(self, news: Any) -> Deferred[list[int]]:
        return Deferred.fromCoroutine(self._publish(news))

    def remote_refuse(self) -> None:
        raise Refused("no")


async def answer(asked: Deferred[Any]) -> Any:
    """What a call returns, awaited, as PB's failures want it: they hold no exception, and make one when it is thrown."""
    return await asked


def published(net: Network, *, clients: int = 1) -> tuple[Publisher, list[Any], list[Host]]:
    """A publisher, and what each client has of it."""
    publisher = Publisher()
    net.host("server", boot=lambda host: host.listenTCP(pb.portno, pb.PBServerFactory(publisher)))
    hosts = [net.host(f"client{number}") for number in range(clients)]
    roots = []
    for host in hosts:
        factory = pb.PBClientFactory()
        host.connectTCP("server", pb.portno, factory)
        roots.append(net.run(factory.getRootObject()))
    return publisher, roots, hosts


@pytest.mark.parametrize("slicing", [RandomSizes(1, 200), OneByte()], ids=["random", "one octet"])
def test_values(slicing: Any) -> None:
    """What is called with comes back the same, whatever its type."""
    with Network(seed=31, link={**ROUGH, "slicing": slicing}) as net:
        _, (root,), _ = published(net)
        values = [
            None,
            -1,
            2**70,
            1.5,
            b"\x00\xff",
            "Zoë 🦊",
            [1, (2, {"three": [4]})],
            list(range(500)),
            True,
        ]
        assert net.run(gatherResults([root.callRemote("echo", value) for value in values])) == values


def test_callbacks() -> None:
    """Clients hand in references, and are called back through them; a reference that returns is the same object."""
    with Network(seed=32, link=ROUGH) as net:
        publisher, roots, _ = published(net, clients=3)
        listeners = [Listener() for _ in roots]

        async def subscribe_and_publish() -> list[Any]:
            for root, listener in zip(roots, listeners, strict=True):
                await root.callRemote("subscribe", listener)
                assert await root.callRemote("is_known", listener)
                assert (await root.callRemote("echo", listener)) is listener
            return [await root.callRemote("publish", f"edition {at}") for at, root in enumerate(roots)]

        assert net.run(subscribe_and_publish()) == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
        assert [listener.heard for listener in listeners] == [["edition 0", "edition 1", "edition 2"]] * 3
        assert len(publisher.subscribers) == 3


def test_large_values() -> None:
    """As many octets as a string may have, both ways at once."""
    with Network(seed=33, link={**ROUGH, "slicing": RandomSizes(1, 1460)}) as net:
        _, (root,), _ = published(net)
        values = [net.random.randbytes(600_000) for _ in range(3)]
        assert net.run(gatherResults([root.callRemote("echo", value) for value in values])) == values


def test_errors() -> None:
    """An error that may be known is raised at the other end, and anything else as the name of what it was."""
    with Network(seed=34, link=ROUGH) as net:
        _, (root,), _ = published(net)
        with pytest.raises(pb.RemoteError, match="no") as refused:
            net.run(answer(root.callRemote("refuse")))
        assert refused.value.remoteType.endswith(b"test_pb.Refused")
        with net.expected_errors(pb.NoSuchMethod) as logged, pytest.raises(pb.RemoteError) as missing:
            net.run(answer(root.callRemote("not_there")))
        assert missing.value.remoteType == b"twisted.spread.flavors.NoSuchMethod"
        assert len(logged) == 1


def test_a_crash() -> None:
    """A client learns that its server has crashed when it sends to the machine that has started again."""
    with Network(seed=35, link=ROUGH) as net:
        _, (root,), (client,) = published(net)
        told: list[Any] = []
        root.notifyOnDisconnect(told.append)
        net.crash("server")
        asked = root.callRemote("echo", 1)
        net.advance(20)
        assert not asked.called
        assert told == []
        net.restart("server")
        with pytest.raises((pb.PBConnectionLost, ConnectionLost)):
            net.run(asked)
        assert told == [root]
        with pytest.raises(pb.DeadReferenceError):
            net.run(root.callRemote("echo", 1))
        factory = pb.PBClientFactory()
        client.connectTCP("server", pb.portno, factory)
        again = net.run(factory.getRootObject())
        assert net.run(again.callRemote("echo", 1)) == 1


def test_a_server_is_told_of_a_client_that_leaves() -> None:
    """A server notices the end of a client's connection, and its references are dead."""
    with Network(seed=36, link=ROUGH) as net:
        publisher, (root,), _ = published(net)
        net.run(root.callRemote("subscribe", Listener()))
        gone: list[Any] = []
        publisher.subscribers[0].notifyOnDisconnect(gone.append)
        root.broker.transport.loseConnection()
        net.settle()
        assert gone == publisher.subscribers
        with pytest.raises(pb.DeadReferenceError):
            net.run(publisher.subscribers[0].callRemote("hear", "anything"))


class Account(pb.Avatar):
    """What a user gets.

    Attributes:
        attached: The users' own references, as long as they are logged in.
    """

    def __init__(self, name: str, attached: dict[str, Any]) -> None:
        self.name = name
        self.attached = attached

    def perspective_name(self) -> str:
        return self.name

    def perspective_tell(self, other: str, words: str) -> Any:
        return self.attached[other].callRemote("hear", f"{self.name}: {words}")

    def detach(self) -> None:
        del self.attached[self.name]


@implementer(IRealm)
class Realm:
    """Where the accounts are."""

    def __init__(self) -> None:
        self.attached: dict[str, Any] = {}

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        assert pb.IPerspective in interfaces
        name = avatarId.decode() if avatarId else "nobody"
        self.attached[name] = mind
        account = Account(name, self.attached)
        return pb.IPerspective, account, account.detach


def realm(net: Network) -> tuple[Realm, Host]:
    """A realm on a server, and a client."""
    inside = Realm()
    checker = InMemoryUsernamePasswordDatabaseDontUse(zoe=b"secret", ivan=b"word")
    server, client = net.host("server"), net.host("client")
    server.listenTCP(pb.portno, pb.PBServerFactory(Portal(inside, [checker, AllowAnonymousAccess()])))
    return inside, client


def logged_in(net: Network, client: Host, credentials: Any, mind: Any = None) -> Any:
    factory = pb.PBClientFactory()
    client.connectTCP("server", pb.portno, factory)
    return net.run(answer(factory.login(credentials, mind)))


def test_logins() -> None:
    """Users who have logged in reach each other, through a partition too, until one of them leaves."""
    with Network(seed=37, link=ROUGH) as net:
        inside, client = realm(net)
        mind = Listener()
        zoe = logged_in(net, client, UsernamePassword(b"zoe", b"secret"), mind)
        ivan = logged_in(net, client, UsernamePassword(b"ivan", b"word"))
        nobody = logged_in(net, client, Anonymous())
        names = [perspective.callRemote("name") for perspective in (zoe, ivan, nobody)]
        assert net.run(gatherResults(names)) == ["zoe", "ivan", "nobody"]
        with net.fault(Partition("server", "client")):
            told = ivan.callRemote("tell", "zoe", "hello")
            net.advance(30)
            assert mind.heard == []
        assert net.run(told) == 1
        assert mind.heard == ["ivan: hello"]
        zoe.broker.transport.loseConnection()
        net.settle()
        assert set(inside.attached) == {"ivan", "nobody"}


def test_a_wrong_password() -> None:
    """A login with a wrong password fails, and nobody is logged in."""
    with Network(seed=38, link=ROUGH) as net:
        inside, client = realm(net)
        with net.expected_errors(UnauthorizedLogin), pytest.raises(pb.RemoteError) as raised:
            logged_in(net, client, UsernamePassword(b"zoe", b"guess"))
        assert raised.value.remoteType == b"twisted.cred.error.UnauthorizedLogin"
        assert inside.attached == {}
