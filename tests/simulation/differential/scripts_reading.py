"""Reading and writing: pieces, order, pauses, and what an exception does."""

from __future__ import annotations

from .recording import Recording
from .script import script
from .world import World


def tell(participant: Recording, data: bytes) -> None:
    """A hook: record the octets as they come."""
    participant.world.record(participant.name, "data", data)


async def told(world: World, family: str = "tcp") -> tuple[Recording, Recording]:
    """A server that records its octets as they come, and a plain client, connected."""
    server, client = world.plain("server", data=tell), world.plain("client")
    await world.connect(server, client, family)
    return server, client


async def resumed(world: World, server: Recording) -> None:
    """Let the server read again."""
    world.record("server", "resumes")
    server.transport.resumeProducing()
    await world.settle()


@script()
async def a_paused_side_does_not_notice_a_fin(world: World) -> None:
    """A paused transport does not notice a FIN; after resume the data comes first, then the loss."""
    server, client = await told(world)
    server.transport.pauseProducing()
    client.transport.write(b"data")
    client.transport.loseConnection()
    await world.settle()
    await resumed(world, server)


@script()
async def a_paused_side_does_not_notice_a_reset(world: World) -> None:
    """A paused transport does not notice an RST; after resume the data comes first, then the loss."""
    server, client = await told(world)
    server.transport.pauseProducing()
    client.transport.write(b"data")
    await world.settle()
    client.transport.abortConnection()
    await world.settle()
    await resumed(world, server)


@script()
async def a_paused_side_without_data_is_reset(world: World) -> None:
    """With nothing to read, a paused transport that resumes after an RST sees ConnectionLost."""
    server, client = await told(world)
    server.transport.pauseProducing()
    client.transport.abortConnection()
    await world.settle()
    await resumed(world, server)


@script()
async def pieces_have_a_limit(world: World) -> None:
    """At most 65,536 bytes a dataReceived, and as many if they are there."""
    server, client = await world.pair()
    server.transport.pauseProducing()
    client.transport.write(b"x" * 1_000_000)
    await world.settle()
    server.transport.resumeProducing()
    await world.settle()
    world.record("largest piece", max(server.pieces))
    world.record("received", sum(server.pieces))


@script()
async def writes_of_one_turn_coalesce(world: World) -> None:
    """Writes of one turn arrive as one piece."""
    _server, client = await told(world)
    for word in (b"one ", b"two ", b"three"):
        client.transport.write(word)
    await world.settle()


@script()
async def writes_of_several_turns_do_not_coalesce(world: World) -> None:
    """Writes that are far enough apart arrive one by one."""
    server, client = await told(world)
    for word in (b"one ", b"two ", b"three"):
        client.transport.write(word)
        await world.until(lambda expected=word: server.received.endswith(expected))  # type: ignore[misc]


@script()
async def what_was_not_read_coalesces(world: World) -> None:
    """What arrives while a transport is paused is delivered as one piece."""
    server, client = await told(world)
    server.transport.pauseProducing()
    for word in (b"one ", b"two ", b"three"):
        client.transport.write(word)
        await world.settle()
    server.transport.resumeProducing()
    await world.settle()


@script()
async def resuming_does_not_reenter(world: World) -> None:
    """Pausing and resuming within dataReceived never re-enter it."""
    depths = []

    def pause_and_resume(server: Recording, _: bytes) -> None:
        depths.append("in")
        server.transport.pauseProducing()
        server.transport.resumeProducing()
        depths.append("out")

    server, client = world.plain("server", data=pause_and_resume), world.plain("client")
    await world.connect(server, client)
    client.transport.write(b"k" * 200_000)
    await world.settle()
    world.record("alternating", set(depths[::2]) == {"in"}, set(depths[1::2]) == {"out"})
    world.record("received", len(server.received))


@script(logs=(ZeroDivisionError,))
async def an_error_while_reading(world: World) -> None:
    """An exception in dataReceived is logged and becomes the local reason; the peer sees ConnectionDone."""
    server, client = world.plain("server", data=lambda p, _: 1 / 0), world.plain("client")
    await world.connect(server, client)
    client.transport.write(b"x")
    await world.settle()


@script(logs=(ZeroDivisionError,))
async def an_error_when_a_server_is_made(world: World) -> None:
    """An exception in a server's connectionMade is logged and leaves it connected."""
    server, client = world.plain("server", made=lambda p: 1 / 0), world.plain("client")
    await world.connect(server, client)
    client.transport.write(b"are you there?")
    await world.settle()
    world.record("server received", server.received)
    world.record("open", server.is_open, client.is_open)


@script(logs=(ZeroDivisionError,))
async def an_error_when_a_client_is_made(world: World) -> None:
    """An exception in a TCP client's connectionMade is logged and becomes the reason of the loss."""
    server, client = world.plain("server"), world.plain("client", made=lambda p: 1 / 0)
    await world.connect(server, client)
    await world.settle()


@script(logs=(ZeroDivisionError,))
async def an_error_when_a_unix_client_is_made(world: World) -> None:
    """A UNIX client is connected in a timed call, so an exception in its connectionMade is only logged."""
    server, client = world.plain("server"), world.plain("client", made=lambda p: 1 / 0)
    await world.connect(server, client, "unix")
    await world.settle()
    client.transport.write(b"all the same")
    await world.settle()
    world.record("server received", server.received)


@script()
async def a_large_transfer_arrives_in_order(world: World) -> None:
    """Megabytes arrive whole and in order."""
    server, client = await world.pair()
    message = b"".join(b"%07d " % number for number in range(500_000))
    client.transport.write(message)
    await world.until(lambda: len(server.received) >= len(message))
    world.record("the same", server.received == message)


@script()
async def large_transfers_both_ways(world: World) -> None:
    """Megabytes both ways at once arrive whole."""
    server, client = await world.pair()
    server.transport.write(b"s" * 3_000_000)
    client.transport.write(b"c" * 3_000_000)
    await world.until(lambda: len(server.received) == len(client.received) == 3_000_000)
    world.record("the same", set(server.received) == set(b"c"), set(client.received) == set(b"s"))


@script()
async def sequences_and_writes_keep_their_order(world: World) -> None:
    """write and writeSequence in turns keep the order of their octets; empty ones add nothing."""
    _server, client = await told(world)
    client.transport.write(b"1")
    client.transport.writeSequence([b"2", b"", b"3"])
    client.transport.write(b"")
    client.transport.writeSequence([])
    client.transport.write(b"4")
    await world.settle()


@script()
async def only_bytes_are_written(world: World) -> None:
    """A str raises TypeError; the connection stays and later writes arrive."""
    _server, client = await told(world)
    world.attempt("str", client.transport.write, "text")
    world.attempt("str in a sequence", client.transport.writeSequence, [b"x", "text"])
    client.transport.write(b"octets")
    await world.settle()


@script()
async def other_kinds_of_octets(world: World) -> None:
    """A bytearray and a memoryview raise TypeError too."""
    _server, client = await told(world)
    world.attempt("bytearray", client.transport.write, bytearray(b"array "))
    await world.settle()
    world.attempt("memoryview", client.transport.write, memoryview(b"view"))
    await world.settle()


@script()
async def pausing_when_the_connection_is_made(world: World) -> None:
    """A server may pause in connectionMade; what the client wrote comes after resume."""
    server = world.plain("server", made=lambda p: p.transport.pauseProducing(), data=tell)
    client = world.plain("client", made=lambda p: p.transport.write(b"early"))
    await world.connect(server, client)
    await world.settle()
    await resumed(world, server)


@script()
async def pausing_twice_takes_one_resume(world: World) -> None:
    """Pauses are not counted: one resume is enough, and a second one does no harm."""
    server, client = await told(world)
    server.transport.pauseProducing()
    server.transport.pauseProducing()
    client.transport.write(b"x")
    await world.settle()
    server.transport.resumeProducing()
    server.transport.resumeProducing()
    await world.settle()


@script()
async def a_paused_side_still_writes(world: World) -> None:
    """Pausing concerns reading only: a paused transport writes as before."""
    _server, client = await told(world)
    client.transport.pauseProducing()
    client.transport.write(b"paused, not mute")
    await world.settle()


@script()
async def pausing_while_reading_holds_the_rest(world: World) -> None:
    """pauseProducing in dataReceived: nothing more comes until resume."""
    server = world.plain("server", data=lambda p, _: p.transport.pauseProducing())
    client = world.plain("client")
    await world.connect(server, client)
    client.transport.write(b"x" * 300_000)
    await world.settle()
    world.record("pieces", len(server.pieces))
    while len(server.received) < 300_000:
        server.transport.resumeProducing()
        await world.settle()
    world.record("received", len(server.received))


@script()
async def both_sides_greet(world: World) -> None:
    """Both write in connectionMade, and both greetings arrive."""
    server = world.plain("server", made=lambda p: p.transport.write(b"220 ready"))
    client = world.plain("client", made=lambda p: p.transport.write(b"EHLO"))
    await world.connect(server, client)
    await world.settle()
    world.record("server received", server.received)
    world.record("client received", client.received)


@script()
async def an_echo_of_many_words(world: World) -> None:
    """A hundred questions and answers, one after the other."""
    answers = []
    server = world.plain("server", data=lambda p, data: p.transport.write(data.upper()))
    client = world.plain("client")
    await world.connect(server, client)

    def ask(_: Recording, answer: bytes = b"") -> None:
        answers.append(answer.decode())
        if len(answers) <= 100:
            client.transport.write(b"word %d" % len(answers))

    client.hooks["data"] = ask
    ask(client)
    await world.until(lambda: len(answers) == 101)
    world.record("the last answers", *answers[-2:])
