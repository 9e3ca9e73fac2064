"""How one half of a connection ends: what IHalfCloseableProtocol is told, and what still goes the other way."""

from __future__ import annotations

from .recording import Recording
from .script import script
from .world import World


async def halves(world: World) -> tuple[Recording, Recording]:
    """A server and a client that both know of half-closes, connected."""
    server, client = world.half("server"), world.half("client")
    await world.connect(server, client)
    return server, client


@script()
async def nothing_closes_by_itself(world: World) -> None:
    """With IHalfCloseableProtocol nothing calls connectionLost by itself, even after both halves have closed."""
    server, client = await halves(world)
    client.transport.loseWriteConnection()
    await world.settle()
    server.transport.loseWriteConnection()
    await world.settle()
    world.record("still open", server.is_open, client.is_open)


@script()
async def closing_then_is_synchronous(world: World) -> None:
    """After loseWriteConnection has completed, loseConnection() calls connectionLost synchronously."""
    server, client = await halves(world)
    client.transport.loseWriteConnection()
    await world.settle()
    client.transport.loseConnection()
    world.record("client", "called loseConnection")
    await world.settle()
    world.record("server open", server.is_open)


@script()
async def writes_in_the_same_turn_are_sent(world: World) -> None:
    """Writes in the same turn after loseWriteConnection are sent; later ones vanish."""
    server, client = await halves(world)
    client.transport.loseWriteConnection()
    client.transport.write(b"sent")
    await world.settle()
    client.transport.write(b"vanishes")
    await world.settle()
    world.record("server received", server.received)


@script()
async def it_is_asynchronous(world: World) -> None:
    """writeConnectionLost is called in a later turn, before the peer's readConnectionLost."""
    _server, client = await halves(world)
    client.transport.loseWriteConnection()
    world.record("client", "called loseWriteConnection")
    await world.settle()


@script()
async def an_answer_after_the_question_has_ended(world: World) -> None:
    """A question, its end, then the answer and the close: nothing is lost, and a half-closeable client stays."""

    def answer(server: Recording) -> None:
        server.transport.write(b"answer to " + server.received)
        server.transport.loseConnection()

    server, client = world.half("server", read_lost=answer), world.half("client")
    await world.connect(server, client)
    client.transport.write(b"question")
    client.transport.loseWriteConnection()
    await world.settle()
    world.record("client received", client.received)
    world.record("client open", client.is_open)


@script()
async def a_plain_peer_closes_altogether(world: World) -> None:
    """To a plain protocol the end of the peer's half is the end of both; the half-closeable one is told of its two halves."""
    server, client = world.plain("server"), world.half("client")
    await world.connect(server, client)
    client.transport.write(b"last words")
    client.transport.loseWriteConnection()
    await world.settle()
    world.record("server received", server.received)
    world.record("client open", client.is_open)


@script()
async def a_plain_side_may_half_close(world: World) -> None:
    """A plain protocol may half-close: it goes on reading, and is lost when the peer closes."""
    server, client = world.half("server"), world.plain("client")
    await world.connect(server, client)
    client.transport.loseWriteConnection()
    await world.settle()
    server.transport.write(b"still read")
    await world.settle()
    world.record("client received", client.received)
    server.transport.loseConnection()
    await world.settle()


@script()
async def two_plain_sides(world: World) -> None:
    """Between two plain protocols a half-close is a close: the peer loses first."""
    _server, client = await world.pair()
    client.transport.loseWriteConnection()
    await world.settle()


@script()
async def twice_is_once(world: World) -> None:
    """loseWriteConnection twice in a turn tells once."""
    _server, client = await halves(world)
    client.transport.loseWriteConnection()
    client.transport.loseWriteConnection()
    await world.settle()


@script()
async def again_later_is_an_error(world: World) -> None:
    """loseWriteConnection once more, in a later turn, loses the connection: nothing can be sent, not even nothing."""
    _server, client = await halves(world)
    client.transport.loseWriteConnection()
    await world.settle()
    client.transport.loseWriteConnection()
    await world.settle()


@script()
async def it_waits_for_all_output(world: World) -> None:
    """loseWriteConnection right after a large write: all of it arrives before the end."""
    server, client = await halves(world)
    server.hooks["read_lost"] = lambda p: world.record("server received", len(p.received))
    client.transport.write(b"x" * 2_000_000)
    client.transport.loseWriteConnection()
    await world.settle()


@script()
async def the_other_half_goes_on(world: World) -> None:
    """After the peer's half has ended one can write as before, in several turns."""
    server, client = await halves(world)
    client.transport.loseWriteConnection()
    await world.settle()
    for word in (b"one ", b"two ", b"three"):
        server.transport.write(word)
        await world.settle()
    world.record("client received", client.received)


@script()
async def aborting_a_half_closed_connection(world: World) -> None:
    """An abort after one's own half has ended: ConnectionAborted here; the peer, whose reading has ended, is not told."""
    server, client = await halves(world)
    client.transport.loseWriteConnection()
    await world.settle()
    client.transport.abortConnection()
    await world.settle()
    world.record("server open", server.is_open)


@script()
async def writing_to_a_half_closed_peer_that_aborts(world: World) -> None:
    """A side that has read the peer's end learns of the peer's abort when it writes."""
    server, client = await halves(world)
    client.transport.loseWriteConnection()
    await world.settle()
    client.transport.abortConnection()
    await world.settle()
    server.transport.write(b"anybody there?")
    await world.settle()


@script()
async def the_peer_of_a_half_closed_connection_aborts(world: World) -> None:
    """A side that has ended its half and still reads is told of the peer's abort: ConnectionLost."""
    server, client = await halves(world)
    client.transport.loseWriteConnection()
    await world.settle()
    server.transport.abortConnection()
    await world.settle()


@script()
async def a_push_producer_does_not_hold_it(world: World) -> None:
    """A push producer that is not paused does not hold loseWriteConnection."""
    _server, client = await halves(world)
    client.transport.registerProducer(world.producer(), True)
    client.transport.loseWriteConnection()
    await world.settle()
    world.record("the end of the script")


@script()
async def a_pull_producer_holds_it(world: World) -> None:
    """A pull producer holds loseWriteConnection until it is unregistered and something is written."""
    server, client = await halves(world)
    client.transport.registerProducer(world.producer(), False)
    client.transport.loseWriteConnection()
    await world.settle()
    world.record("client", "unregisters")
    client.transport.unregisterProducer()
    await world.settle()
    client.transport.write(b"the end")
    await world.settle()
    world.record("server received", server.received)


@script()
async def closing_instead(world: World) -> None:
    """loseWriteConnection and then loseConnection in one turn is a close; halves are not mentioned here."""
    server, client = await halves(world)
    client.transport.loseWriteConnection()
    client.transport.loseConnection()
    await world.settle()
    world.record("server open", server.is_open)


@script()
async def both_halves_at_once(world: World) -> None:
    """Both sides end their halves in one turn: each is told of both, its own first, and nothing is lost."""
    server, client = await halves(world)
    told: dict[str, list[str]] = {"server": [], "client": []}
    for protocol in (server, client):
        protocol.hooks["read_lost"] = lambda p: told[p.name].append("read")
        protocol.hooks["write_lost"] = lambda p: told[p.name].append("write")
        protocol.transport.loseWriteConnection()
    await world.settle()
    world.events.clear()
    world.record("told", {name: sorted(halves) for name, halves in told.items()})
    world.record("still open", server.is_open, client.is_open)


@script(logs=(ZeroDivisionError,))
async def an_error_when_reading_ends(world: World) -> None:
    """An exception in readConnectionLost is logged and becomes the reason of the loss."""
    server, client = world.half("server", read_lost=lambda p: 1 / 0), world.half("client")
    await world.connect(server, client)
    client.transport.loseWriteConnection()
    await world.settle()


@script(logs=(ZeroDivisionError,))
async def an_error_when_writing_ends(world: World) -> None:
    """An exception in writeConnectionLost is logged and becomes the reason of the loss."""
    server, client = world.half("server"), world.half("client", write_lost=lambda p: 1 / 0)
    await world.connect(server, client)
    client.transport.loseWriteConnection()
    await world.settle()
    world.record("server open", server.is_open)


@script()
async def closing_when_reading_ends(world: World) -> None:
    """loseConnection in readConnectionLost closes; the half-closed client reads the end and stays."""
    server = world.half("server", read_lost=lambda p: p.transport.loseConnection())
    client = world.half("client", read_lost=lambda p: p.transport.loseConnection())
    await world.connect(server, client)
    client.transport.loseWriteConnection()
    await world.settle()


@script()
async def a_paused_side_is_told_later(world: World) -> None:
    """A paused side is told of the peer's end when it resumes, after the data."""
    server, client = await halves(world)
    server.hooks["data"] = lambda p, data: world.record("server", "data", data)
    server.transport.pauseProducing()
    client.transport.write(b"before the end")
    client.transport.loseWriteConnection()
    await world.settle()
    world.record("server", "resumes")
    server.transport.resumeProducing()
    await world.settle()
