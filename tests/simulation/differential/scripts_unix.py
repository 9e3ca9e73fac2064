"""UNIX stream sockets: names, descriptors, and where they end differently from TCP."""

from __future__ import annotations

import os

from twisted.internet.interfaces import IFileDescriptorReceiver
from zope.interface import implementer

from .recording import Recording, made
from .script import script
from .world import World


@implementer(IFileDescriptorReceiver)
class Receiver(Recording):
    """Reads what comes through the descriptors that it is given."""

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """A descriptor of our own for what the peer has sent."""
        with open(descriptor, "rb") as file:
            self.world.record(self.name, "descriptor of", file.read())


def pipe_with(words: bytes) -> int:
    """The reading end of a pipe that holds some octets and then ends."""
    reading, writing = os.pipe()
    os.write(writing, words)
    os.close(writing)
    return reading


@script()
async def words_both_ways(world: World) -> None:
    """A UNIX connection carries octets both ways."""
    server, client = await world.pair("unix")
    client.transport.write(b"question")
    server.transport.write(b"answer")
    await world.settle()
    world.record("received", server.received, client.received)
    client.transport.loseConnection()
    await world.settle()


@script()
async def a_client_is_made_first(world: World) -> None:
    """A UNIX client is connected before it is accepted, and told first."""
    server, client = world.plain("server", made=made), world.plain("client", made=made)
    await world.connect(server, client, "unix")


@script()
async def the_addresses_of_a_connection(world: World) -> None:
    """The server's host and the client's peer are the path; a client has no name."""
    server, client = world.plain("server"), world.plain("client")
    factory = world.quiet_factory(server)
    port = world.listen(factory, "unix")
    world.dial(port, world.quiet_factory(client))
    await world.until(lambda: server.transport and client.transport)
    world.record("path", server.transport.getHost() == port.getHost() == client.transport.getPeer())
    world.record("client", client.transport.getHost().name, server.transport.getPeer().name)
    world.record("buildProtocol", str(factory.addresses[0]))


@script()
async def a_descriptor_is_passed_on(world: World) -> None:
    """sendFileDescriptor with an octet: the peer gets a descriptor of its own, before the octets."""
    server = Receiver(world, "server", data=lambda p, data: world.record("server", "data", data))
    client = world.plain("client")
    await world.connect(server, client, "unix")
    reading = pipe_with(b"through the pipe")
    client.transport.sendFileDescriptor(reading)
    client.transport.write(b"x")
    await world.settle()
    os.close(reading)


@script()
async def several_descriptors_are_passed_on(world: World) -> None:
    """Each descriptor needs an octet; they arrive in order."""
    server, client = Receiver(world, "server"), world.plain("client")
    await world.connect(server, client, "unix")
    ends = [pipe_with(words) for words in (b"first", b"second", b"third")]
    for reading in ends:
        client.transport.sendFileDescriptor(reading)
    client.transport.write(b"xyz and more")
    await world.settle()
    world.record("server received", server.received)
    for reading in ends:
        os.close(reading)


@script()
async def more_descriptors_than_octets(world: World) -> None:
    """More descriptors than octets is FileDescriptorOverrun, which ends the connection."""
    server, client = Receiver(world, "server"), world.plain("client")
    await world.connect(server, client, "unix")
    reading = pipe_with(b"never")
    client.transport.sendFileDescriptor(reading)
    client.transport.sendFileDescriptor(reading)
    client.transport.write(b"x")
    await world.settle()
    os.close(reading)


@script()
async def a_descriptor_that_nobody_wants(world: World) -> None:
    """A protocol that takes no descriptors gets the octets; the descriptor is closed."""
    server, client = await world.pair("unix")
    reading, writing = os.pipe()
    client.transport.sendFileDescriptor(writing)
    client.transport.write(b"x")
    await world.settle()
    os.close(writing)
    world.record("server received", server.received)
    os.set_blocking(reading, False)
    world.record("the pipe has ended", os.read(reading, 1) == b"")
    os.close(reading)


@script()
async def an_abort_without_unread_input(world: World) -> None:
    """There is no reset: the peer of an abort sees ConnectionDone, if everything had been read."""
    _server, client = await world.pair("unix")
    client.transport.abortConnection()
    await world.settle()


@script()
async def an_abort_with_unread_input(world: World) -> None:
    """With input unread the peer of an abort sees ConnectionLost."""
    server, client = await world.pair("unix")
    client.transport.pauseProducing()
    server.transport.write(b"unread")
    await world.settle()
    client.transport.abortConnection()
    await world.settle()


@script()
async def a_close_with_unread_input(world: World) -> None:
    """With input unread the peer of a close sees ConnectionLost, unlike TCP."""
    server, client = await world.pair("unix")
    client.transport.pauseProducing()
    server.transport.write(b"unread")
    await world.settle()
    client.transport.loseConnection()
    await world.settle()


@script()
async def half_closing(world: World) -> None:
    """Half-closes work as over TCP."""

    def answer(server: Recording) -> None:
        server.transport.write(b"answer to " + server.received)
        server.transport.loseConnection()

    server, client = world.half("server", read_lost=answer), world.half("client")
    await world.connect(server, client, "unix")
    client.transport.write(b"question")
    client.transport.loseWriteConnection()
    await world.settle()
    world.record("client received", client.received)


@script()
async def a_port_that_stops_resets_who_waits(world: World) -> None:
    """stopListening resets a client that was not accepted."""
    port = world.listen(world.quiet_factory(), "unix")
    port.stopReading()
    client = world.plain("client", made=made)
    world.dial(port, world.quiet_factory(client))
    await world.settle()
    await port.stopListening()
    world.record("port", "stopped")
    await world.settle()


@script()
async def a_timeout_of_nothing(world: World) -> None:
    """With timeout=0 a UNIX attempt succeeds, because it is made at once."""
    client = world.plain("client", made=made)
    port = world.listen(world.quiet_factory(world.plain("server")), "unix")
    world.dial(port, world.factory(client), timeout=0)
    await world.settle()


@script()
async def tcp_options_do_nothing(world: World) -> None:
    """setTcpNoDelay is ignored and getTcpNoDelay is False."""
    for side in await world.pair("unix"):
        side.transport.setTcpNoDelay(True)
        world.record(side.name, side.transport.getTcpNoDelay())


@script()
async def a_large_transfer(world: World) -> None:
    """Megabytes arrive whole over a UNIX socket, in pieces of at most 65,536 octets."""
    server, client = await world.pair("unix")
    client.transport.write(b"x" * 3_000_000)
    client.transport.loseConnection()
    await world.until(lambda: server.reason)
    world.record("received", len(server.received), max(server.pieces) <= 65536)


@script()
async def writing_to_a_peer_that_has_closed(world: World) -> None:
    """A paused side that writes to a peer that has closed is told at once: ConnectionLost."""
    server, client = await world.pair("unix")
    server.transport.pauseProducing()
    client.transport.loseConnection()
    await world.settle()
    server.transport.write(b"first")
    await world.settle()


@script()
async def a_paused_side_does_not_notice_the_end(world: World) -> None:
    """A paused side notices nothing; after resume the data comes first, then the loss."""
    server, client = await world.pair("unix")
    server.hooks["data"] = lambda p, data: world.record("server", "data", data)
    server.transport.pauseProducing()
    client.transport.write(b"data")
    client.transport.loseConnection()
    await world.settle()
    world.record("server", "resumes")
    server.transport.resumeProducing()
    await world.settle()


@script(differs={"select": "reads before it writes"})
async def who_is_ready_keeps_its_turn(world: World) -> None:
    """A side that may go on writing does so before the side that it has written to reads: one piece, not two."""
    server, client = await world.pair("unix")
    left = [b"second", b"first "]

    def write() -> None:
        client.transport.write(left.pop()) if left else client.transport.unregisterProducer()

    client.transport.registerProducer(world.producer(resume=write), False)
    await world.settle()
    world.record("server pieces", server.pieces)
