"""Ports: what can be bound, what cannot, and how listening ends."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.tcp import makeBinding

from .script import script
from .world import World


def refusal(world: World, call: Any, *arguments: Any, **keywords: Any) -> CannotListenError:
    """The error that a call must raise."""
    try:
        port = call(*arguments, **keywords)
    except CannotListenError as error:
        return error
    world.keep_port(port)
    raise AssertionError("it listens")


@script()
async def port_0_is_some_port(world: World) -> None:
    """Port 0 is a free one, which getHost tells."""
    first, second = world.listen(world.quiet_factory()), world.listen(world.quiet_factory())
    numbers = {first.getHost().port, second.getHost().port}
    world.record("two", len(numbers), min(numbers) > 1023, first.getHost().host, first.getHost().type)
    world.record("provides", IListeningPort.providedBy(first))


@script()
async def a_taken_port_cannot_be_had(world: World) -> None:
    """A taken port raises CannotListenError with interface, port and errno 98."""
    number = world.listen(world.quiet_factory()).getHost().port
    factory = world.factory()
    error = refusal(world, world.reactor.listenTCP, number, factory, interface="127.0.0.1")
    world.record("error", error.interface, error.port == number, error.socketError.errno)


@script()
async def a_port_taken_on_every_address(world: World) -> None:
    """A port that is taken on one address cannot be had on all addresses."""
    number = world.listen(world.quiet_factory()).getHost().port
    error = refusal(world, world.reactor.listenTCP, number, world.factory())
    world.record("error", error.interface, error.socketError.errno)


@script()
async def a_foreign_address_cannot_be_had(world: World) -> None:
    """An address that is not this machine's raises CannotListenError with errno 99."""
    error = refusal(world, world.reactor.listenTCP, 0, world.factory(), interface="203.0.113.1")
    world.record("error", error.interface, error.port, error.socketError.errno)


@script()
async def one_port_on_two_addresses(world: World) -> None:
    """One port number can be had on two addresses, and each gets its own."""
    here, there = world.plain("here"), world.plain("there")
    first = world.listen(world.quiet_factory(here))
    number = first.getHost().port
    factory = world.quiet_factory(there)
    world.keep_port(world.reactor.listenTCP(number, factory, interface="127.0.0.9"))
    client = world.plain("client", made=lambda p: p.transport.write(b"hello"))
    world.reactor.connectTCP("127.0.0.9", number, world.quiet_factory(client))
    await world.settle()
    world.record("received", here.received, there.received)
    world.drop(there, client)


@script()
async def a_port_can_be_had_again(world: World) -> None:
    """Once stopListening is done the port can be had again at once, though its connections are still there."""
    server, client = world.plain("server"), world.plain("client")
    port = world.listen(world.quiet_factory(server))
    world.dial(port, world.quiet_factory(client))
    await world.until(lambda: server.transport)
    number = port.getHost().port
    await port.stopListening()
    again = world.attempt(
        "again",
        world.reactor.listenTCP,
        number,
        world.quiet_factory(world.plain("new")),
        interface="127.0.0.1",
    )
    world.keep_port(again)
    world.record("same number", again.getHost().port == number)


@script()
async def a_port_can_be_had_after_the_server_has_closed(world: World) -> None:
    """A port can be had again though a connection that its side closed first is still in TIME_WAIT."""
    server, client = world.plain("server"), world.plain("client")
    port = world.listen(world.quiet_factory(server))
    world.dial(port, world.quiet_factory(client))
    await world.until(lambda: server.transport)
    server.transport.loseConnection()
    await world.until(lambda: server.reason and client.reason)
    number = port.getHost().port
    await port.stopListening()
    again = world.attempt(
        "again", world.reactor.listenTCP, number, world.quiet_factory(), interface="127.0.0.1"
    )
    world.keep_port(again)


@script()
async def every_address(world: World) -> None:
    """A port on '' is reached at every IPv4 address of this machine; its own address is 0.0.0.0."""
    servers = [world.plain("server 0"), world.plain("server 1")]
    port = world.keep_port(world.reactor.listenTCP(0, world.quiet_factory(*servers)))
    world.record("host", port.getHost().host)
    for number, host in enumerate(("127.0.0.1", "127.0.0.9")):
        client = world.plain("client")
        world.at_end(lambda client=client: world.drop(client))  # type: ignore[misc]
        world.reactor.connectTCP(host, port.getHost().port, world.quiet_factory(client))
        await world.until(lambda number=number: servers[number].transport)  # type: ignore[misc]
        transport = servers[number].transport
        world.record("server", transport.getHost().host, transport.getPeer().host)


@script()
async def both_families(world: World) -> None:
    """A port on '::' is reached over IPv4 as well; an IPv4 peer is mapped into IPv6."""
    servers = [world.plain("server 0"), world.plain("server 1")]
    port = world.keep_port(world.reactor.listenTCP(0, world.quiet_factory(*servers), interface="::"))
    world.record("host", port.getHost().host)
    for number, host in enumerate(("127.0.0.1", "::1")):
        client = world.plain("client")
        world.at_end(lambda client=client: world.drop(client))  # type: ignore[misc]
        world.reactor.connectTCP(host, port.getHost().port, world.quiet_factory(client))
        await world.until(lambda number=number: servers[number].transport)  # type: ignore[misc]
        transport = servers[number].transport
        world.record("server", transport.getHost().host, transport.getPeer().host, transport.getPeer().type)


@script()
async def both_families_take_the_port_of_one(world: World) -> None:
    """A port that is taken on '::' cannot be had on '', because '::' is both."""
    port = world.keep_port(world.reactor.listenTCP(0, world.quiet_factory(), interface="::"))
    error = refusal(world, world.reactor.listenTCP, port.getHost().port, world.factory())
    world.record("error", error.socketError.errno)


@script()
async def ipv6_alone(world: World) -> None:
    """A port on '::1' leaves the same number on 127.0.0.1 free."""
    port = world.listen(world.quiet_factory(), "tcp6")
    number = port.getHost().port
    other = world.attempt(
        "127.0.0.1", world.reactor.listenTCP, number, world.quiet_factory(), interface="127.0.0.1"
    )
    world.keep_port(other)


@script()
async def how_often_a_factory_is_started(world: World) -> None:
    """A factory on two ports is started once and stopped once."""
    factory = world.factory()
    ports = [world.listen(factory), world.listen(factory)]
    for number, port in enumerate(ports):
        await port.stopListening()
        world.record("stopped listening", number)


@script()
async def stopping_is_asynchronous(world: World) -> None:
    """stopListening is done in a later turn: until then getHost answers, afterwards it raises AttributeError."""
    port = world.listen(world.factory())
    done = port.stopListening()
    world.attempt("getHost", port.getHost)
    done.addCallback(lambda result: world.record("done", result))
    await world.settle()
    world.attempt("getHost", port.getHost)


@script()
async def stopping_again_is_nothing(world: World) -> None:
    """stopListening of a port that has stopped returns None."""
    port = world.listen(world.factory())
    await port.stopListening()
    world.record("again", port.stopListening())


@script()
async def listening_again(world: World) -> None:
    """A port that has stopped can listen again."""
    server, client = world.plain("server"), world.plain("client")
    port = world.listen(world.factory(server))
    await port.stopListening()
    port.startListening()
    world.dial(port, world.quiet_factory(client))
    await world.until(lambda: server.transport)
    world.record("connected")


@script()
async def a_stopped_port_refuses(world: World) -> None:
    """Who connects after stopListening is refused."""
    port = world.listen(world.quiet_factory())
    number = port.getHost().port
    await port.stopListening()
    world.dial(number, world.factory())
    await world.settle()


@script()
async def sharing_a_port(world: World) -> None:
    """Two ports with SO_REUSEPORT may have one number; without it they may not."""
    binding = makeBinding("127.0.0.1", 0, True, True)
    first = world.keep_port(world.reactor.listenTCP(binding, world.quiet_factory(), interface="127.0.0.1"))
    number = first.getHost().port
    shared = makeBinding("127.0.0.1", number, True, True)
    second = world.attempt(
        "shared", world.reactor.listenTCP, shared, world.quiet_factory(), interface="127.0.0.1"
    )
    world.keep_port(second)
    world.attempt("alone", world.reactor.listenTCP, number, world.quiet_factory(), interface="127.0.0.1")


@script()
async def a_port_number_out_of_range(world: World) -> None:
    """A port number above 65535 raises OverflowError, not CannotListenError."""
    world.attempt("65536", world.reactor.listenTCP, 65536, world.quiet_factory(), interface="127.0.0.1")


@script()
async def udp_and_tcp_do_not_meet(world: World) -> None:
    """A number that is taken by TCP is free for UDP."""
    number = world.listen(world.quiet_factory()).getHost().port
    datagrams = world.bind(world.datagrams("udp"), "127.0.0.1", number)
    world.record("same number", datagrams.transport.getHost().port == number)


@script()
async def a_clients_port_is_taken_too(world: World) -> None:
    """The number that a client was given cannot be listened on."""
    _server, client = await world.pair()
    number = client.transport.getHost().port
    error = refusal(world, world.reactor.listenTCP, number, world.factory(), interface="127.0.0.1")
    world.record("error", error.socketError.errno)


@script(logs=(IndexError,))
async def an_error_when_a_protocol_is_built(world: World) -> None:
    """An exception in a server's buildProtocol is logged; its connection is closed, and the next one is served."""
    factory, server, first, second = world.quiet_factory(), world.plain("server"), *map(world.plain, "12")
    port = world.listen(factory)
    world.dial(port, world.quiet_factory(first))
    await world.settle()
    factory.protocols.append(server)
    world.dial(port, world.quiet_factory(second))
    await world.settle()
    world.record("open", first.is_open, second.is_open, server.is_open)
