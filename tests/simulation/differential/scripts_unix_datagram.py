"""UNIX datagrams: paths as addresses, what is raised where nobody is, and connected ports."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IUNIXDatagramConnectedTransport, IUNIXDatagramTransport

from .recording import Connected
from .script import script
from .world import World


def path_of(protocol: Any) -> str:
    """Where a datagram protocol listens."""
    return os.fsdecode(protocol.transport.getHost().name)


@script()
async def a_datagram_arrives_with_its_source(world: World) -> None:
    """A datagram arrives with the path of the port that sent it."""
    here, there = world.unix_datagrams("here"), world.unix_datagrams("there")
    here.transport.write(b"hello", path_of(there))
    await world.settle()
    world.record("source", there.sources == [path_of(here)])


@script()
async def a_port_without_a_path_has_no_name(world: World) -> None:
    """A port on '' can write; its datagrams come from nobody."""
    here, there = world.unix_datagrams("here", ""), world.unix_datagrams("there")
    here.transport.write(b"anonymous", path_of(there))
    await world.settle()
    world.record("source", there.sources[0], here.transport.getHost().name)


@script()
async def empty_datagrams_are_delivered(world: World) -> None:
    """Empty datagrams are delivered."""
    here, there = world.unix_datagrams("here"), world.unix_datagrams("there")
    for datagram in (b"", b"x", b""):
        here.transport.write(datagram, path_of(there))
    await world.settle()


@script()
async def datagrams_keep_their_order(world: World) -> None:
    """Datagrams of one turn arrive one by one, in order."""
    here, there = world.unix_datagrams("here"), world.unix_datagrams("there")
    for number in range(5):
        here.transport.write(b"%d" % number, path_of(there))
    await world.settle()


@script()
async def a_missing_path(world: World) -> None:
    """Writing to a path where nothing is raises FileNotFoundError."""
    here = world.unix_datagrams("here")
    world.attempt("write", here.transport.write, b"x", world.path())


@script()
async def a_dead_path(world: World) -> None:
    """Writing to a path where nobody listens raises ConnectionRefusedError, be it a node or a plain file."""
    here = world.unix_datagrams("here")
    node, file = world.path(), world.path()
    os.mknod(node, stat.S_IFSOCK | 0o666)
    Path(file).write_bytes(b"")
    world.attempt("node", here.transport.write, b"x", node)
    world.attempt("file", here.transport.write, b"x", file)


@script()
async def a_path_of_a_stream(world: World) -> None:
    """Writing to a path where a stream socket listens raises OSError, and so does a stream to a datagram's path."""
    here = world.unix_datagrams("here")
    port = world.listen(world.quiet_factory(), "unix")
    world.attempt("datagram", here.transport.write, b"x", os.fsdecode(port.getHost().name))
    world.dial(path_of(here), world.factory())
    await world.settle()


@script()
async def a_path_in_use(world: World) -> None:
    """A path in use raises CannotListenError with errno 98."""
    here = world.unix_datagrams("here")
    try:
        world.unix_datagrams("there", path_of(here))
    except CannotListenError as error:
        world.record("error", error.socketError.errno)


@script()
async def the_mode_of_a_path(world: World) -> None:
    """A path is a socket with mode 0666, or the mode that is asked for."""
    for mode in (0o666, 0o600):
        keywords: dict[str, Any] = {"mode": mode} if mode != 0o666 else {}
        node = Path(path_of(world.unix_datagrams("here", **keywords))).stat().st_mode
        world.record("socket", stat.S_ISSOCK(node), oct(stat.S_IMODE(node)))


@script()
async def stopping_leaves_the_path(world: World) -> None:
    """stopListening leaves the path behind, dead."""
    here, there = world.unix_datagrams("here"), world.unix_datagrams("there")
    path = path_of(there)
    await there.transport.stopListening()
    world.record("there", Path(path).exists())
    world.attempt("write", here.transport.write, b"x", path)


@script()
async def a_long_datagram_is_cut(world: World) -> None:
    """What exceeds maxPacketSize is cut off silently."""
    here, there = world.unix_datagrams("here"), world.unix_datagrams("there", maxPacketSize=10)
    here.transport.write(b"0123456789ABC", path_of(there))
    here.transport.write(b"next", path_of(there))
    await world.settle()


@script()
async def a_huge_datagram(world: World) -> None:
    """A datagram beyond the send buffer raises MessageLengthError; 65,508 octets are no limit here."""
    here, there = world.unix_datagrams("here"), world.unix_datagrams("there", maxPacketSize=70_000)
    world.attempt("65508", here.transport.write, b"x" * 65_508, path_of(there))
    world.attempt("huge", here.transport.write, b"x" * 20_000_000, path_of(there))
    await world.settle()


@script()
async def a_full_queue_drops(world: World) -> None:
    """When the receiver's queue is full, write drops the datagram silently; the earlier ones stay."""
    here, there = world.unix_datagrams("here"), world.unix_datagrams("there")
    port = there.transport
    port.stopReading()
    for number in range(5000):
        here.transport.write(b"%d" % number, path_of(there))
    port.startReading()
    await world.settle()
    received = there.received
    world.events.clear()
    world.record(
        "all", len(received) == 5000, "in order", received == [b"%d" % n for n in range(len(received))]
    )


@script(logs=(ZeroDivisionError,))
async def an_error_while_receiving(world: World) -> None:
    """An exception in datagramReceived is logged, and the port lives on."""
    here, there = world.unix_datagrams("here"), world.unix_datagrams("there")
    there.hooks["data"] = lambda p, data: 1 // len(data)
    for datagram in (b"one", b"", b"three"):
        here.transport.write(datagram, path_of(there))
    await world.settle()


@script()
async def the_abstract_namespace(world: World) -> None:
    """An abstract name works as a path, and is gone with its port."""
    name = "\0" + world.path()
    here, there = world.unix_datagrams("here"), world.unix_datagrams("there", name)
    here.transport.write(b"abstract", name)
    await world.settle()
    await there.transport.stopListening()
    world.attempt("write", here.transport.write, b"x", name)


@script()
async def connected_ports(world: World) -> None:
    """A connected port writes without an address, and the answer comes to its own path."""
    there = world.unix_datagrams("there")
    here = world.unix_connected("here", path_of(there), world.path())
    here.transport.write(b"question")
    await world.settle()
    there.transport.write(b"answer", there.sources[0])
    await world.settle()
    world.record("peer", os.fsdecode(here.transport.getPeer().name) == path_of(there))


@script()
async def connecting_to_a_missing_path(world: World) -> None:
    """A connected port to a path where nothing is: connectionFailed before connectUNIXDatagram returns."""
    world.unix_connected("here", world.path())
    world.record("script", "called connectUNIXDatagram")
    await world.settle()


@script()
async def connecting_to_a_dead_path(world: World) -> None:
    """A connected port to a path where nobody listens: connectionFailed."""
    path = world.path()
    os.mknod(path, stat.S_IFSOCK | 0o666)
    world.unix_connected("here", path)
    await world.settle()


@script()
async def a_connected_port_is_told_of_a_refusal(world: World) -> None:
    """Writing to a peer that has stopped calls connectionRefused within write."""
    there = world.unix_datagrams("there")
    here = world.unix_connected("here", path_of(there))
    here.transport.write(b"hello")
    await world.settle()
    await there.transport.stopListening()
    await world.settle()
    world.attempt("write", here.transport.write, b"anybody?")
    await world.settle()


@script()
async def a_connected_port_hears_its_peer_only(world: World) -> None:
    """Others that write to a connected port get PermissionError."""
    there, other = world.unix_datagrams("there"), world.unix_datagrams("other")
    path = world.path()
    world.unix_connected("here", path_of(there), path)
    world.attempt("other", other.transport.write, b"from another", path)
    world.attempt("peer", there.transport.write, b"from the peer", path)
    await world.settle()


@script()
async def writing_to_oneself(world: World) -> None:
    """A port can write to its own path."""
    here = world.unix_datagrams("here")
    here.transport.write(b"to myself", path_of(here))
    await world.settle()


@script()
async def what_ports_provide(world: World) -> None:
    """The interfaces of both kinds of ports."""
    there = world.unix_datagrams("there")
    here = world.unix_connected("here", path_of(there))
    for port in (there.transport, here.transport):
        world.record(
            "provides",
            IUNIXDatagramTransport.providedBy(port),
            IUNIXDatagramConnectedTransport.providedBy(port),
        )


@script()
async def stopping_is_asynchronous(world: World) -> None:
    """stopListening is done in a later turn; once more it returns None."""
    here = world.unix_datagrams("here")
    port = here.transport
    done = port.stopListening()
    world.record("script", "called stopListening")
    done.addCallback(lambda result: world.record("done", result))
    await world.settle()
    world.record("again", port.stopListening())


@script()
async def connecting_to_a_port_that_is_connected_to_another(world: World) -> None:
    """A port that is connected to another cannot be connected to: connectionFailed with PermissionError."""
    first, second = world.path(), world.path()
    world.unix_datagrams("first", first)
    world.unix_connected("second", first, second)
    third = Connected(world, "third")
    world.reactor.connectUNIXDatagram(second, third)
