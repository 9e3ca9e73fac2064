"""How a connection is broken off: aborts, resets, and what either side is told of them."""

from __future__ import annotations

from typing import Any

from .script import script
from .world import World

BIG = b"b" * 8_000_000
"""More than the buffers of any kernel take while nobody reads."""


@script()
async def an_abort_is_asynchronous(world: World) -> None:
    """abortConnection: ConnectionAborted here, in a later turn, ConnectionLost at the peer; buffered data is dropped."""
    server, client = await world.pair()
    client.transport.write(b"dropped")
    client.transport.abortConnection()
    world.record("client", "called abortConnection")
    await world.settle()
    world.record("server received", server.received)


@script()
async def a_lost_server_is_harmless(world: World) -> None:
    """The same on the server's side, where getPeer still answers."""
    server, _client = await world.pair()
    transport = server.transport
    transport.abortConnection()
    await world.settle()
    for name in ("getPeer", "getHost", "loseConnection", "abortConnection", "getTcpNoDelay"):
        world.attempt(name, getattr(transport, name))
    world.attempt("write", transport.write, b"x")
    world.attempt("registerProducer", transport.registerProducer, world.producer(), False)


@script()
async def aborting_when_the_connection_is_made(world: World) -> None:
    """A server that aborts in connectionMade: ConnectionAborted there, ConnectionLost at the client."""
    server = world.plain("server", made=lambda p: p.transport.abortConnection())
    await world.connect(server, world.plain("client"))
    await world.settle()


@script()
async def both_abort_at_once(world: World) -> None:
    """Both sides abort in one turn: both see ConnectionAborted, in the order of their calls."""
    server, client = await world.pair()
    client.transport.abortConnection()
    server.transport.abortConnection()
    await world.settle()


@script()
async def an_abort_ends_a_close_that_waits(world: World) -> None:
    """abortConnection ends a loseConnection that cannot flush; the peer sees ConnectionLost after what had arrived."""
    server, client = await world.pair()
    client.transport.pauseProducing()
    server.transport.write(BIG)
    server.transport.loseConnection()
    await world.settle()
    world.record("server lost", server.reason)
    server.transport.abortConnection()
    await world.settle()
    client.transport.resumeProducing()
    await world.settle()
    world.record("client received all", len(client.received) == len(BIG))


@script()
async def aborting_wins_over_closing_in_the_same_turn(world: World) -> None:
    """loseConnection and then abortConnection in one turn is an abort."""
    server, client = await world.pair()
    client.transport.write(b"dropped")
    client.transport.loseConnection()
    client.transport.abortConnection()
    client.transport.abortConnection()
    await world.settle()
    world.record("server received", server.received)


@script()
async def closing_after_an_abort_changes_nothing(world: World) -> None:
    """abortConnection and then loseConnection in one turn is an abort."""
    _server, client = await world.pair()
    client.transport.abortConnection()
    client.transport.loseConnection()
    await world.settle()


@script()
async def aborting_while_reading(world: World) -> None:
    """abortConnection in dataReceived: nothing more is delivered."""
    server = world.plain("server", data=lambda p, _: p.transport.abortConnection())
    client = world.plain("client")
    await world.connect(server, client)
    client.transport.write(BIG)
    await world.settle()
    world.record("server pieces", len(server.pieces))


@script()
async def aborting_with_unread_input(world: World) -> None:
    """An abort with input unread is an abort like any other."""
    server, client = await world.pair()
    server.transport.pauseProducing()
    client.transport.write(b"unread")
    await world.settle()
    server.transport.abortConnection()
    await world.settle()


@script()
async def writing_into_a_reset(world: World) -> None:
    """A side that writes when the peer aborts loses the connection once, with ConnectionLost."""
    server, client = await world.pair()
    client.transport.abortConnection()
    server.transport.write(b"too late")
    await world.settle()
    world.record("client received", client.received)


@script()
async def what_the_reasons_say(world: World) -> None:
    """The messages of ConnectionDone, ConnectionAborted and ConnectionLost."""
    said: list[str] = []

    def listen(reason: Any) -> None:
        said.append(str(reason.value))

    for end in ("loseConnection", "abortConnection"):
        server, client = await world.pair()
        for protocol in (server, client):
            protocol.connectionLost = listen  # type: ignore[assignment,method-assign]
        getattr(client.transport, end)()
        await world.until(lambda: len(said) in {2, 4})
        await world.settle()
    world.record("said", *said)
