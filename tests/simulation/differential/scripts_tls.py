"""TLS over the same connections: its handshake, its small writes, and how it closes."""

from __future__ import annotations

from typing import Any

from twisted.internet.ssl import optionsForClientTLS

from .certificate import serving, trusting
from .recording import Recording
from .script import script
from .world import LOOPBACK, World


async def secured(world: World, server: Recording, client: Recording, options: Any = None) -> None:
    """A server and a client, connected with TLS and past the handshake."""
    factory = world.quiet_factory(server)
    port = world.reactor.listenSSL(0, factory, serving(), interface=LOOPBACK["tcp"])
    world.keep_port(port)
    number = port.getHost().port
    world.at_end(lambda: world.drop(server, client))
    world.reactor.connectSSL(LOOPBACK["tcp"], number, world.quiet_factory(client), options or trusting())
    await world.until(lambda: server.transport and client.transport)


async def pair(world: World) -> tuple[Recording, Recording]:
    """A plain server and a plain client that have exchanged a word over TLS."""
    server, client = world.plain("server"), world.plain("client")
    await secured(world, server, client)
    client.transport.write(b"hello ")
    await world.until(lambda: server.received)
    server.transport.write(b"welcome ")
    await world.until(lambda: client.received)
    return server, client


@script()
async def words_both_ways(world: World) -> None:
    """Octets go both ways."""
    server, client = await pair(world)
    world.record("received", server.received, client.received)


@script()
async def small_writes_are_sent(world: World) -> None:
    """Small writes, which TLS gathers with the clock of the global reactor, all arrive in order."""
    server, client = await pair(world)
    for number in range(100):
        client.transport.write(b"%d " % number)
    await world.settle()
    world.record("server received", server.received)


@script()
async def closing(world: World) -> None:
    """A close: both see ConnectionDone, and what was written arrives."""
    server, client = await pair(world)
    client.transport.write(b"goodbye")
    client.transport.loseConnection()
    await world.until(lambda: client.reason and server.reason)
    await world.settle()
    world.events.sort()
    world.record("server received", server.received)


@script()
async def aborting(world: World) -> None:
    """An abort is ConnectionLost at both ends."""
    _server, client = await pair(world)
    client.transport.abortConnection()
    await world.settle()


@script()
async def closing_when_the_connection_is_made(world: World) -> None:
    """A server that writes and closes in connectionMade, before the handshake: the client gets the word and the end."""

    def greet(server: Recording) -> None:
        server.transport.write(b"go away")
        server.transport.loseConnection()

    server, client = world.plain("server", made=greet), world.plain("client")
    await secured(world, server, client)
    await world.until(lambda: client.reason and server.reason)
    world.events.sort()
    world.record("client received", client.received)


@script()
async def a_client_that_does_not_trust(world: World) -> None:
    """A client that does not trust the certificate is lost with an Error, and so is the server."""
    server, client = world.plain("server"), world.plain("client")
    await secured(world, server, client, optionsForClientTLS("127.0.0.1"))
    await world.until(lambda: client.reason and server.reason)
    world.events.sort()


@script()
async def starting_later(world: World) -> None:
    """startTLS on both sides after a word in the clear."""
    server, client = await world.pair()
    client.transport.write(b"STARTTLS ")
    await world.until(lambda: server.received)
    server.transport.startTLS(serving())
    client.transport.startTLS(trusting())
    client.transport.write(b"secret")
    server.transport.write(b"answer")
    await world.settle()
    world.record("received", server.received, client.received)


@script()
async def a_large_transfer(world: World) -> None:
    """Megabytes arrive whole."""
    server, client = await pair(world)
    before = len(server.received)
    client.transport.write(b"x" * 1_000_000)
    await world.until(lambda: len(server.received) - before >= 1_000_000)
    world.record("server received", len(server.received) - before)


@script()
async def producing(world: World) -> None:
    """A push producer is paused while a peer does not read, and resumed when it does."""
    server, client = await pair(world)
    client.transport.pauseProducing()
    server.transport.registerProducer(world.producer(), True)
    server.transport.write(b"x" * 8_000_000)
    await world.settle()
    world.record("client", "reads")
    client.transport.resumeProducing()
    await world.until(lambda: len(client.received) > 8_000_000)
    await world.settle()
