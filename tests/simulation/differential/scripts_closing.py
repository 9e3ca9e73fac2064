"""How a connection ends: the side that closes, the side that is closed, and what becomes of the octets between them."""

from __future__ import annotations

from .recording import Recording
from .script import script
from .world import World

BIG = b"b" * 8_000_000
"""More than the buffers of any kernel take while nobody reads."""


@script()
async def writes_after_a_close_in_the_same_turn_are_sent(world: World) -> None:
    """Bytes written after loseConnection() in the same turn are still sent."""
    server, client = await world.pair()
    client.transport.loseConnection()
    client.transport.write(b"late")
    await world.settle()
    world.record("server received", server.received)


@script()
async def a_fin_discards_unsent_output(world: World) -> None:
    """A peer's FIN to a protocol that is not half-closeable discards what it has not sent; both see ConnectionDone."""
    server, client = world.plain("server"), world.half("client")
    await world.connect(server, client)
    client.transport.pauseProducing()
    server.transport.write(BIG)
    await world.settle()
    client.transport.loseWriteConnection()
    await world.settle()
    client.transport.resumeProducing()
    await world.settle()
    world.record("client received all", len(client.received) == len(BIG))
    world.record("client received some", len(client.received) > 0)


@script()
async def a_close_by_a_peer_that_does_not_read_discards_output(world: World) -> None:
    """Unsent output is discarded as well when the peer closes with unread input; both see ConnectionDone."""
    server, client = await world.pair()
    client.transport.pauseProducing()
    server.transport.write(BIG)
    await world.settle()
    client.transport.loseConnection()
    await world.settle()
    world.record("client received", client.received)


@script()
async def closing_while_the_peer_sends(world: World) -> None:
    """A server that answers and closes while the peer still sends: the peer gets the answer, then ConnectionLost."""
    server, client = await world.pair()
    server.transport.pauseProducing()
    client.transport.write(BIG)
    await world.settle()
    server.transport.write(b"answer")
    server.transport.loseConnection()
    await world.settle()
    world.record("client received", client.received)


@script()
async def closing_with_unread_input_and_an_idle_peer(world: World) -> None:
    """Closing with input unread while the peer is idle: it sees ConnectionDone."""
    server, client = await world.pair()
    server.transport.pauseProducing()
    client.transport.write(b"unread")
    await world.settle()
    server.transport.loseConnection()
    await world.settle()
    world.record("server received", server.received)


@script()
async def closing_stops_reading(world: World) -> None:
    """loseConnection stops reading: pending input is lost and resumeProducing cannot bring it back."""
    server, client = await world.pair()
    server.transport.pauseProducing()
    client.transport.write(b"pending")
    await world.settle()
    producer = world.producer()
    server.transport.registerProducer(producer, False)
    server.transport.loseConnection()
    server.transport.resumeProducing()
    await world.settle()
    world.record("server received", server.received)
    server.transport.unregisterProducer()
    await world.settle()
    world.record("server received", server.received)


@script()
async def the_closing_side_is_told_first(world: World) -> None:
    """The side that closes first sees connectionLost first."""
    server, _client = await world.pair()
    server.transport.loseConnection()
    await world.settle()


@script()
async def the_closing_client_is_told_first(world: World) -> None:
    """It is the client if the client closes."""
    _server, client = await world.pair()
    client.transport.loseConnection()
    world.record("client", "called loseConnection")
    await world.settle()


@script()
async def a_lost_transport_is_harmless(world: World) -> None:
    """After the loss write is silent, getHost raises AttributeError, registerProducer at once calls stopProducing."""
    _server, client = await world.pair()
    transport = client.transport
    transport.loseConnection()
    await world.settle()
    world.attempt("write", transport.write, b"x")
    world.attempt("writeSequence", transport.writeSequence, [b"x"])
    for name in ("getPeer", "getHost", "loseConnection", "abortConnection", "pauseProducing"):
        world.attempt(name, getattr(transport, name))
    for name in ("resumeProducing", "stopProducing", "unregisterProducer"):
        world.attempt(name, getattr(transport, name))
    world.attempt("registerProducer", transport.registerProducer, world.producer(), True)


@script()
async def closing_when_the_connection_is_made(world: World) -> None:
    """A server may close in connectionMade; what it wrote before is sent."""

    def greet(server: Recording) -> None:
        server.transport.write(b"go away")
        server.transport.loseConnection()

    server, client = world.plain("server", made=greet), world.plain("client")
    await world.connect(server, client)
    await world.settle()
    world.record("client received", client.received)


@script()
async def a_client_that_closes_when_made_is_still_accepted(world: World) -> None:
    """A client may write and close in connectionMade: the server gets the octets and then the end."""

    def hurry(client: Recording) -> None:
        client.transport.write(b"hello")
        client.transport.loseConnection()

    server, client = world.plain("server"), world.plain("client", made=hurry)
    await world.connect(server, client)
    await world.settle()
    world.record("server received", server.received)


@script(apart=True)
async def both_close_at_once(world: World) -> None:
    """Both sides close in one turn: both see ConnectionDone."""
    server, client = await world.pair()
    client.transport.loseConnection()
    server.transport.loseConnection()
    await world.settle()


@script()
async def closing_twice_is_closing_once(world: World) -> None:
    """loseConnection twice, then abortConnection in a later turn: one connectionLost a side."""
    _server, client = await world.pair()
    client.transport.loseConnection()
    client.transport.loseConnection()
    await world.settle()
    client.transport.abortConnection()
    await world.settle()


@script()
async def closing_while_reading(world: World) -> None:
    """loseConnection in dataReceived: nothing more is delivered, and an idle peer sees ConnectionDone."""
    server = world.plain("server", data=lambda p, _: p.transport.loseConnection())
    client = world.plain("client")
    await world.connect(server, client)
    server.transport.pauseProducing()
    client.transport.write(b"x" * 100_000)
    await world.settle()
    server.transport.resumeProducing()
    await world.settle()
    world.record("server pieces", len(server.pieces))


@script()
async def writing_when_lost_is_silent(world: World) -> None:
    """write and loseConnection within connectionLost do nothing."""

    def protest(protocol: Recording) -> None:
        world.attempt("write", protocol.transport.write, b"wait")
        world.attempt("loseConnection", protocol.transport.loseConnection)

    server, client = world.plain("server", lost=protest), world.plain("client")
    await world.connect(server, client)
    client.transport.loseConnection()
    await world.settle()
    world.record("client received", client.received)


@script()
async def stopping_to_produce_is_closing(world: World) -> None:
    """stopProducing of a transport is loseConnection: it flushes first."""
    server, client = await world.pair()
    client.transport.write(b"flushed")
    client.transport.stopProducing()
    await world.settle()
    world.record("server received", server.received)


@script()
async def stopping_to_consume_is_closing(world: World) -> None:
    """stopConsuming forgets the producer and closes."""
    _server, client = await world.pair()
    client.transport.registerProducer(world.producer(), False)
    client.transport.stopConsuming()
    await world.settle()


@script()
async def the_flags_of_a_transport(world: World) -> None:
    """connected, disconnecting and disconnected, before and after a close; an abort does not set disconnecting."""
    server, client = await world.pair()

    def flags(transport: object) -> list[bool]:
        return [bool(getattr(transport, name)) for name in ("connected", "disconnecting", "disconnected")]

    transports = server.transport, client.transport
    world.record("open", *map(flags, transports))
    client.transport.abortConnection()
    world.record("aborting", flags(client.transport))
    server.transport.loseConnection()
    world.record("closing", flags(server.transport))
    await world.until(lambda: client.reason and server.reason)
    world.record("closed", *map(flags, transports))


@script()
async def a_close_waits_for_all_output(world: World) -> None:
    """loseConnection right after a large write: all of it arrives."""
    server, client = await world.pair()
    client.transport.write(BIG)
    client.transport.loseConnection()
    await world.until(lambda: server.reason)
    await world.settle()
    world.record("server received all", server.received == BIG)


@script(logs=(ZeroDivisionError,))
async def an_error_when_lost_is_logged(world: World) -> None:
    """An exception in connectionLost is logged; the peer is told as usual."""
    server = world.plain("server", lost=lambda p: 1 / 0)
    client = world.plain("client")
    await world.connect(server, client)
    server.transport.loseConnection()
    await world.settle()


@script()
async def closing_an_unread_connection_after_a_peers_close(world: World) -> None:
    """A paused side whose peer has closed may close too: ConnectionDone, though it never read the end."""
    server, client = await world.pair()
    server.transport.pauseProducing()
    client.transport.loseConnection()
    await world.settle()
    world.record("server lost", server.reason)
    server.transport.loseConnection()
    await world.settle()


@script()
async def writing_to_a_peer_that_has_closed(world: World) -> None:
    """A paused side that writes to a peer that has closed is told in the end: ConnectionLost."""
    server, client = await world.pair()
    server.transport.pauseProducing()
    client.transport.loseConnection()
    await world.settle()
    server.transport.write(b"first")
    await world.settle()
    server.transport.write(b"second")
    await world.settle()


@script(differs={"select": "takes any transport, and drops it from select(2) when that fails"})
async def a_lost_transport_cannot_be_watched(world: World) -> None:
    """After the loss startReading, startWriting and loseWriteConnection raise ValueError: there is no descriptor."""
    _server, client = await world.pair()
    client.transport.loseConnection()
    await world.settle()
    for name in ("startReading", "startWriting", "loseWriteConnection"):
        world.attempt(name, getattr(client.transport, name))
