"""How a connection comes to be: the accepting side, what waits for it, addresses and options."""

from __future__ import annotations

from twisted.internet.interfaces import IHalfCloseableDescriptor, ITCPTransport, ITLSTransport, IUNIXTransport
from zope.interface import providedBy

from .recording import Recording, made
from .script import script
from .world import World


@script()
async def both_are_told_that_it_is_made(world: World) -> None:
    """A TCP connection that one reactor makes with itself is accepted first, then the client is told."""
    server, client = world.plain("server", made=made), world.plain("client", made=made)
    await world.connect(server, client)


@script()
async def a_client_is_made_though_nobody_accepts(world: World) -> None:
    """The client's connectionMade does not wait for the accept; stopListening then resets what was not accepted."""
    port = world.listen(world.quiet_factory())
    port.stopReading()
    client = world.plain("client", made=made)
    world.dial(port, world.quiet_factory(client))
    await world.settle()
    await port.stopListening()
    world.record("port", "stopped")
    await world.settle()


@script()
async def what_waits_is_accepted_later(world: World) -> None:
    """A port that resumes accepts what has waited, with the octets that were sent meanwhile, in order."""
    servers = [world.plain(f"server {number}", made=made) for number in range(3)]
    port = world.listen(world.quiet_factory(*servers))
    port.stopReading()
    for number in range(3):
        word = b"from client %d" % number
        hurry = world.plain("client", made=lambda p, word=word: p.transport.write(word))
        world.dial(port, world.quiet_factory(hurry))
        await world.settle()
    port.startReading()
    await world.settle()
    for server in servers:
        world.record(server.name, "received", server.received)


@script()
async def a_client_that_left_before_the_accept(world: World) -> None:
    """A client that wrote and closed before it was accepted: the server still gets the octets and the end."""
    server = world.plain("server", made=made)
    port = world.listen(world.quiet_factory(server))
    port.stopReading()
    client = world.plain("client")
    world.dial(port, world.quiet_factory(client))
    await world.settle()
    client.transport.write(b"goodbye")
    client.transport.loseConnection()
    await world.settle()
    port.startReading()
    await world.settle()
    world.record("server received", server.received)


@script()
async def a_client_that_aborted_before_the_accept(world: World) -> None:
    """A client that aborted before it was accepted: the server is made, and lost with ConnectionLost."""
    server = world.plain("server", made=made)
    port = world.listen(world.quiet_factory(server))
    port.stopReading()
    client = world.plain("client")
    world.dial(port, world.quiet_factory(client))
    await world.settle()
    client.transport.abortConnection()
    await world.settle()
    world.record("port", "resumes")
    port.startReading()
    await world.settle()


@script()
async def a_server_that_refuses(world: World) -> None:
    """buildProtocol returns None at the server: the client is made, then lost with ConnectionDone."""
    client = world.plain("client", made=made)
    world.dial(world.listen(world.quiet_factory(None)), world.quiet_factory(client))
    await world.settle()


@script(logs=(IndexError,))
async def an_error_in_a_servers_factory(world: World) -> None:
    """An exception in a server's buildProtocol is logged, and the port lives on."""
    factory = world.quiet_factory()
    port = world.listen(factory)
    world.dial(port, world.quiet_factory(world.plain("first")))
    await world.settle()
    server, second = world.plain("server"), world.plain("second")
    factory.protocols.append(server)
    world.dial(port, world.quiet_factory(second))
    await world.until(lambda: second.transport)
    second.transport.write(b"hello")
    await world.settle()
    world.record("server received", server.received)
    world.events[:] = [event for event in world.events if event[0] != "first"]


@script()
async def a_full_backlog_times_out(world: World) -> None:
    """Once as many as the backlog (and one more) wait for the accept, a further attempt gets no answer: TimeoutError."""
    port = world.listen(world.quiet_factory(), backlog=1)
    port.stopReading()
    for name in ("first", "second"):
        client = world.plain(name, made=made)
        world.dial(port, world.quiet_factory(client))
        await world.until(lambda client=client: client.transport)  # type: ignore[misc]
    world.dial(port, world.factory(), timeout=0.1)
    await world.until(lambda: ("factory", "stopped") in world.events)


@script()
async def a_client_binds_its_address(world: World) -> None:
    """bindAddress sets where a client comes from."""
    server, client = world.plain("server"), world.plain("client")
    port = world.listen(world.quiet_factory(server))
    world.dial(port, world.quiet_factory(client), bindAddress=("127.0.0.1", 0))
    await world.until(lambda: server.transport)
    peer = server.transport.getPeer()
    world.record("peer", peer.host, peer == client.transport.getHost())


@script()
async def a_client_binds_another_loopback_address(world: World) -> None:
    """Every address of 127.0.0.0/8 is this machine's."""
    server, client = world.plain("server"), world.plain("client")
    port = world.listen(world.quiet_factory(server))
    world.dial(port, world.quiet_factory(client), bindAddress=("127.0.0.9", 0))
    await world.until(lambda: server.transport)
    world.record("peer", server.transport.getPeer().host)
    world.record("host", server.transport.getHost().host)


@script()
async def a_client_binds_a_taken_port(world: World) -> None:
    """A bindAddress that is taken fails the attempt asynchronously, with ConnectBindError."""
    port = world.listen(world.quiet_factory())
    taken = "127.0.0.1", port.getHost().port
    world.dial(port, world.factory(), bindAddress=taken)
    world.record("script", "called connectTCP")
    await world.settle()


@script()
async def a_client_binds_a_foreign_address(world: World) -> None:
    """A bindAddress that is not this machine's fails the attempt with ConnectBindError."""
    port = world.listen(world.quiet_factory())
    world.dial(port, world.factory(), bindAddress=("203.0.113.1", 0))
    await world.settle()


@script()
async def many_connections_keep_their_order(world: World) -> None:
    """Twenty clients of one turn are accepted in the order of their calls, and each has a server of its own."""
    servers = [world.plain(f"server {number}") for number in range(20)]
    port = world.listen(world.quiet_factory(*servers))
    for number in range(20):
        word = b"%d" % number
        client = world.plain("client", made=lambda p, word=word: p.transport.write(word))
        world.dial(port, world.quiet_factory(client))
    await world.until(lambda: all(server.received for server in servers))
    world.record("received", *[bytes(server.received) for server in servers])


@script()
async def the_addresses_of_a_connection(world: World) -> None:
    """Each side's getPeer is the other's getHost, and buildProtocol was given the same."""
    for family in ("tcp", "tcp6"):
        server, client = world.plain("server"), world.plain("client")
        factory = world.quiet_factory(server)
        port = world.listen(factory, family)
        world.dial(port, world.quiet_factory(client))
        await world.until(lambda s=server, c=client: s.transport and c.transport)  # type: ignore[misc]
        theirs, ours = server.transport.getPeer(), client.transport.getHost()
        world.record(family, theirs == ours == factory.addresses[0], theirs.host, theirs.type)
        world.record("port", client.transport.getPeer() == server.transport.getHost() == port.getHost())


@script()
async def options_of_a_connection(world: World) -> None:
    """TCP_NODELAY and SO_KEEPALIVE are off at first, and can be turned on and off."""
    for side in await world.pair():
        for option in ("TcpNoDelay", "TcpKeepAlive"):
            values = [getattr(side.transport, "get" + option)()]
            for wanted in (True, False):
                getattr(side.transport, "set" + option)(wanted)
                values.append(getattr(side.transport, "get" + option)())
            world.record(side.name, option, *values)


@script()
async def the_handle_of_a_connection(world: World) -> None:
    """getHandle is a socket that knows both addresses and is in non-blocking mode."""
    server, client = await world.pair()
    for transport in (server.transport, client.transport):
        handle = transport.getHandle()
        host, peer = transport.getHost(), transport.getPeer()
        world.record("getsockname", handle.getsockname() == (host.host, host.port))
        world.record("getpeername", handle.getpeername() == (peer.host, peer.port))
        world.record("descriptor", handle.fileno() >= 0, handle.gettimeout())


@script()
async def what_transports_provide(world: World) -> None:
    """The interfaces of both sides, over TCP and over UNIX sockets."""
    wanted = (ITCPTransport, ITLSTransport, IUNIXTransport, IHalfCloseableDescriptor)
    for family in ("tcp", "unix"):
        for side in await world.pair(family):
            world.record(family, side.name, *[interface.providedBy(side.transport) for interface in wanted])
            world.record("all", *sorted(i.__name__ for i in providedBy(side.transport).flattened()))


@script()
async def a_connection_outlives_its_port(world: World) -> None:
    """stopListening leaves the connections that were accepted."""
    server, client = world.plain("server"), world.plain("client")
    port = world.listen(world.quiet_factory(server))
    world.dial(port, world.quiet_factory(client))
    await world.until(lambda: server.transport)
    await port.stopListening()
    client.transport.write(b"still here")
    await world.settle()
    world.record("server received", server.received)


@script()
async def connecting_over_ipv6(world: World) -> None:
    """A connection over ::1 is like any other."""
    server, client = world.plain("server"), world.plain("client")
    await world.connect(server, client, "tcp6")
    client.transport.write(b"six")
    await world.settle()
    world.record("server received", server.received)
    client.transport.loseConnection()
    await world.settle()


@script()
async def closing_a_connection_within_the_accept(world: World) -> None:
    """A factory whose servers close at once serves many clients all the same."""

    def greet(server: Recording) -> None:
        server.transport.write(b"full")
        server.transport.loseConnection()

    clients = [world.plain("client") for _ in range(5)]
    port = world.listen(world.quiet_factory(*[world.plain("server", made=greet) for _ in clients]))
    for client in clients:
        world.dial(port, world.quiet_factory(client))
    await world.until(lambda: all(client.reason for client in clients))
    await world.settle()
    world.events.clear()
    world.record("clients received", *[bytes(client.received) for client in clients])
