"""Endpoints: the same connections, asked for in another way, and how their Deferreds fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    TCP6ClientEndpoint,
    TCP6ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    clientFromString,
    connectProtocol,
    serverFromString,
)

from .recording import made
from .script import script
from .world import World


def report(world: World, deferred: Deferred[Any]) -> None:
    """Record what a Deferred fires with, when it does."""
    deferred.addCallbacks(
        lambda result: world.record("connected", getattr(result, "name", result)),
        lambda failure: world.record("failed", failure.type.__name__),
    )


async def exchange(world: World, listening: Any, connecting: Callable[[Any], Any]) -> None:
    """A question and an answer over a server's and a client's endpoint."""
    server = world.plain("server", data=lambda p, data: p.transport.write(data.upper()))
    client = world.plain("client")
    port = world.keep_port(await listening.listen(world.quiet_factory(server)))
    world.at_end(lambda: world.drop(server, client))
    world.record("connected", (await connectProtocol(connecting(port.getHost()), client)).name)
    client.transport.write(b"question")
    await world.settle()
    world.record("client received", client.received)
    client.transport.loseConnection()
    await world.settle()


@script()
async def over_tcp4(world: World) -> None:
    """TCP4ServerEndpoint and TCP4ClientEndpoint."""
    listening = TCP4ServerEndpoint(world.reactor, 0, interface="127.0.0.1")
    await exchange(world, listening, lambda host: TCP4ClientEndpoint(world.reactor, host.host, host.port))


@script()
async def over_tcp6(world: World) -> None:
    """TCP6ServerEndpoint and TCP6ClientEndpoint."""
    listening = TCP6ServerEndpoint(world.reactor, 0, interface="::1")
    await exchange(world, listening, lambda host: TCP6ClientEndpoint(world.reactor, host.host, host.port))


@script()
async def over_a_path(world: World) -> None:
    """UNIXServerEndpoint and UNIXClientEndpoint."""
    path = world.path()
    listening = UNIXServerEndpoint(world.reactor, path)
    await exchange(world, listening, lambda host: UNIXClientEndpoint(world.reactor, path))


@script()
async def from_strings(world: World) -> None:
    """serverFromString and clientFromString."""
    listening = serverFromString(world.reactor, "tcp:0:interface=127.0.0.1")
    await exchange(
        world, listening, lambda host: clientFromString(world.reactor, f"tcp:{host.host}:{host.port}")
    )


@script()
async def from_strings_with_a_path(world: World) -> None:
    """The same with a path."""
    path = world.path()
    listening = serverFromString(world.reactor, f"unix:{path}")
    await exchange(world, listening, lambda host: clientFromString(world.reactor, f"unix:{path}"))


@script()
async def by_an_address_as_a_name(world: World) -> None:
    """HostnameEndpoint with an address for a name."""
    listening = TCP4ServerEndpoint(world.reactor, 0, interface="127.0.0.1")
    await exchange(world, listening, lambda host: HostnameEndpoint(world.reactor, host.host, host.port))


@script()
async def a_refusal_of_a_name(world: World) -> None:
    """HostnameEndpoint fails with ConnectionRefusedError when its only address refuses."""
    endpoint = HostnameEndpoint(world.reactor, "127.0.0.1", await world.vacant())
    connecting: Deferred[Any] = endpoint.connect(world.quiet_factory())
    report(world, connecting)
    await connecting


@script()
async def a_refusal(world: World) -> None:
    """The Deferred fails with ConnectionRefusedError, in a later turn."""
    endpoint = TCP4ClientEndpoint(world.reactor, "127.0.0.1", await world.vacant())
    report(world, endpoint.connect(world.quiet_factory()))
    world.record("script", "called connect")
    await world.settle()


@script()
async def a_cancellation(world: World) -> None:
    """Cancelling the Deferred fails it at once, with ConnectingCancelledError."""
    port = world.listen(world.quiet_factory())
    endpoint = TCP4ClientEndpoint(world.reactor, "127.0.0.1", port.getHost().port)
    connecting = endpoint.connect(world.quiet_factory())
    report(world, connecting)
    connecting.cancel()
    world.record("script", "called cancel")
    await world.settle()


@script()
async def a_timeout(world: World) -> None:
    """timeout=0 fails with TimeoutError."""
    port = world.listen(world.quiet_factory(None))
    endpoint = TCP4ClientEndpoint(world.reactor, "127.0.0.1", port.getHost().port, timeout=0)
    report(world, endpoint.connect(world.quiet_factory()))
    await world.settle()


@script()
async def a_client_that_refuses(world: World) -> None:
    """A client's factory that gives None fails the Deferred with NoProtocol."""
    port = world.listen(world.quiet_factory(world.plain("server")))
    endpoint = TCP4ClientEndpoint(world.reactor, "127.0.0.1", port.getHost().port)
    report(world, endpoint.connect(world.quiet_factory(None)))
    await world.settle()


@script()
async def a_taken_port(world: World) -> None:
    """listen fails with CannotListenError on a taken port and on a taken path."""
    number = world.listen(world.quiet_factory()).getHost().port
    report(
        world, TCP4ServerEndpoint(world.reactor, number, interface="127.0.0.1").listen(world.quiet_factory())
    )
    path = os.fsdecode(world.listen(world.quiet_factory(), "unix").getHost().name)
    report(world, UNIXServerEndpoint(world.reactor, path).listen(world.quiet_factory()))
    await world.settle()


@script()
async def a_missing_path(world: World) -> None:
    """connect fails with ConnectError where there is no path."""
    report(world, UNIXClientEndpoint(world.reactor, world.path()).connect(world.quiet_factory()))
    await world.settle()


@script()
async def the_protocol_is_told_first(world: World) -> None:
    """The Deferred fires within the turn in which connectionMade is called, after it."""
    client = world.plain("client", made=made)
    port = world.listen(world.quiet_factory(world.plain("server")))
    endpoint = TCP4ClientEndpoint(world.reactor, "127.0.0.1", port.getHost().port)
    world.at_end(lambda: world.drop(client))
    report(world, connectProtocol(endpoint, client))
    await world.settle()


@script()
async def a_client_service_reconnects(world: World) -> None:
    """A ClientService connects again when the connection is lost, until it is stopped."""
    servers = [world.plain("server 1"), world.plain("server 2")]
    clients = [world.plain("client 1", made=made), world.plain("client 2", made=made)]
    port = world.listen(world.quiet_factory(*servers))
    endpoint = TCP4ClientEndpoint(world.reactor, "127.0.0.1", port.getHost().port)
    service = ClientService(
        endpoint, world.quiet_factory(*clients), retryPolicy=lambda _: 0.0, clock=world.reactor
    )
    service.startService()
    await world.until(lambda: servers[0].transport)
    servers[0].transport.loseConnection()
    await world.until(lambda: servers[1].transport and clients[1].transport)
    await world.settle()
    await service.stopService()
    await world.settle()
    world.events.sort()
