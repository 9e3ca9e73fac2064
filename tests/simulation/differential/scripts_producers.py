"""Producers: when a transport pauses and resumes them, and how they hold a close."""

from __future__ import annotations

from .recording import Producer
from .script import script
from .world import World

LIMIT = 65536
"""Octets that a transport buffers before it pauses a push producer."""


@script()
async def pausing_happens_within_write(world: World) -> None:
    """pauseProducing fires inside write, only above 65,536 buffered bytes, and again on every further write."""
    server, client = await world.pair()
    server.transport.registerProducer(world.producer(), True)
    for size in (LIMIT, 1, 1):
        server.transport.write(b"x" * size)
        world.record("wrote", size)
    await world.settle()
    world.record("client received", len(client.received))


@script()
async def an_unpaused_push_producer_does_not_hold_a_close(world: World) -> None:
    """loseConnection with a push producer that is not paused closes at once; the producer is stopped."""
    server, client = await world.pair()
    client.transport.registerProducer(world.producer(), True)
    client.transport.write(b"sent")
    client.transport.loseConnection()
    await world.settle()
    world.record("server received", server.received)


@script()
async def a_paused_push_producer_holds_a_close(world: World) -> None:
    """A paused push producer holds the close, even once it is resumed, until unregisterProducer."""
    server, client = await world.pair()
    client.transport.registerProducer(world.producer(), True)
    client.transport.write(b"x" * (LIMIT + 1))
    client.transport.loseConnection()
    await world.settle()
    world.record("client", "unregisters")
    client.transport.unregisterProducer()
    await world.settle()
    world.record("server received", len(server.received))


@script()
async def a_pull_producer_holds_a_close(world: World) -> None:
    """A pull producer holds the close until unregisterProducer."""
    _server, client = await world.pair()
    client.transport.registerProducer(world.producer(), False)
    client.transport.loseConnection()
    await world.settle()
    world.record("client open", client.is_open)
    client.transport.unregisterProducer()
    await world.settle()


@script()
async def a_pull_producer_is_asked_at_once(world: World) -> None:
    """A pull producer's first resumeProducing runs inside registerProducer."""
    _server, client = await world.pair()
    client.transport.registerProducer(world.producer(), False)
    world.record("client", "registered")
    await world.settle()


@script()
async def two_producers_are_one_too_many(world: World) -> None:
    """Registering twice raises RuntimeError; after unregisterProducer another may come."""
    _server, client = await world.pair()
    world.attempt("first", client.transport.registerProducer, world.producer(), True)
    world.attempt("second", client.transport.registerProducer, world.producer(), True)
    client.transport.unregisterProducer()
    world.attempt("third", client.transport.registerProducer, world.producer(), True)


@script()
async def unregistering_nothing_is_harmless(world: World) -> None:
    """unregisterProducer without a producer does nothing."""
    _server, client = await world.pair()
    world.attempt("unregisterProducer", client.transport.unregisterProducer)
    await world.settle()
    world.record("client open", client.is_open)


@script()
async def a_slow_peer_pauses_and_resumes(world: World) -> None:
    """A push producer is resumed once, when all that was buffered has gone."""
    server, client = await world.pair()
    client.transport.pauseProducing()
    server.transport.registerProducer(world.producer(), True)
    server.transport.write(b"x" * 8_000_000)
    await world.settle()
    world.record("client", "reads")
    client.transport.resumeProducing()
    await world.settle()
    world.record("client received", len(client.received))


@script()
async def a_pull_producer_is_asked_after_each_flush(world: World) -> None:
    """A pull producer is asked again each time that what it wrote has gone, until it unregisters."""
    server, client = await world.pair()
    words = [b"one ", b"two ", b"three"]

    def produce() -> None:
        client.transport.write(words.pop(0))
        if not words:
            client.transport.unregisterProducer()

    client.transport.registerProducer(world.producer(resume=produce), False)
    await world.settle()
    world.record("server received", server.received)


@script()
async def a_pull_producer_that_closes(world: World) -> None:
    """A pull producer that unregisters and closes after its last piece: all arrives, then the end."""
    server, client = await world.pair()
    pieces = [b"a" * 100_000, b"b" * 100_000]

    def produce() -> None:
        client.transport.write(pieces.pop(0))
        if not pieces:
            client.transport.unregisterProducer()
            client.transport.loseConnection()

    client.transport.registerProducer(Producer(world, resume=produce), False)
    await world.settle()
    world.record("server received", len(server.received))


@script()
async def a_lost_connection_stops_the_producer_first(world: World) -> None:
    """When the peer aborts, stopProducing comes before connectionLost."""
    server, client = await world.pair()
    server.transport.registerProducer(world.producer(), True)
    client.transport.abortConnection()
    await world.settle()


@script()
async def a_full_buffer_does_not_pause_a_new_producer(world: World) -> None:
    """A push producer registered while the buffer is full is paused by the next write, not before."""
    server, _client = await world.pair()
    server.transport.write(b"x" * (LIMIT + 1))
    server.transport.registerProducer(world.producer(), True)
    world.record("server", "registered")
    server.transport.write(b"x")
    await world.settle()


@script()
async def a_sequence_pauses_once(world: World) -> None:
    """writeSequence beyond the limit pauses once, however many pieces it has."""
    server, client = await world.pair()
    server.transport.registerProducer(world.producer(), True)
    server.transport.writeSequence([b"x" * LIMIT, b"y", b"z"])
    await world.settle()
    world.record("client received", len(client.received))


@script(logs=(ZeroDivisionError,))
async def an_error_in_a_producer(world: World) -> None:
    """An exception in resumeProducing is logged and becomes the reason of the loss; the peer sees ConnectionDone."""
    server, client = await world.pair()
    client.transport.registerProducer(world.producer(resume=lambda: 1 / 0), True)
    client.transport.write(b"x" * (LIMIT + 1))
    await world.settle()
    world.record("server received", len(server.received))


@script()
async def registering_while_closing(world: World) -> None:
    """A pull producer registered after loseConnection is asked, and holds the close."""
    server, client = await world.pair()
    client.transport.write(b"first ")
    client.transport.loseConnection()
    producer = world.producer(resume=lambda: client.transport.write(b"more "))
    client.transport.registerProducer(producer, False)
    producer.hooks.clear()
    await world.settle()
    world.record("client open", client.is_open)
    client.transport.unregisterProducer()
    await world.settle()
    world.record("server received", server.received)


@script()
async def one_transport_produces_for_another(world: World) -> None:
    """Two connections joined as producer and consumer: a slow reader at the end holds the writer at the start."""
    entry, writer = await world.pair()
    exit_, reader = await world.pair()
    entry.hooks["data"] = lambda p, data: exit_.transport.write(data)
    exit_.transport.registerProducer(entry.transport, True)
    reader.transport.pauseProducing()
    writer.transport.registerProducer(world.producer(), True)
    writer.transport.write(b"x" * 8_000_000)
    await world.settle()
    world.record("everything has passed", len(entry.received) == 8_000_000)
    reader.transport.resumeProducing()
    await world.settle()
    world.record("reader received", len(reader.received))


@script()
async def a_producer_is_stopped_by_an_abort(world: World) -> None:
    """abortConnection with a producer registered: it is stopped in a later turn, before connectionLost."""
    _server, client = await world.pair()
    client.transport.registerProducer(world.producer(), False)
    client.transport.abortConnection()
    world.record("client", "called abortConnection")
    await world.settle()


@script()
async def empty_writes_wake_nobody(world: World) -> None:
    """write(b"") asks no pull producer for more."""
    _server, client = await world.pair()
    client.transport.registerProducer(world.producer(), False)
    client.transport.write(b"")
    await world.settle()
    client.transport.write(b"x")
    await world.settle()
