"""UDP: what a datagram keeps, what becomes of those that nobody reads, and how a port starts and stops."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IUDPTransport

from .recording import Datagrams
from .script import script
from .world import World


@script()
async def a_datagram_arrives_with_its_source(world: World) -> None:
    """A datagram arrives whole, with the address of the port that sent it."""
    here, there = world.udp("here"), world.udp("there")
    here.transport.write(b"hello", there.address)
    await world.settle()
    world.record("source", there.sources == [here.address])


@script()
async def empty_datagrams_are_delivered(world: World) -> None:
    """Empty datagrams are delivered."""
    here, there = world.udp("here"), world.udp("there")
    for datagram in (b"", b"x", b""):
        here.transport.write(datagram, there.address)
    await world.settle()


@script()
async def datagrams_keep_their_order(world: World) -> None:
    """Many datagrams of one turn arrive one by one, in order."""
    here, there = world.udp("here"), world.udp("there")
    for number in range(50):
        here.transport.write(b"%d" % number, there.address)
    await world.settle()


@script()
async def a_long_datagram_is_cut(world: World) -> None:
    """What exceeds maxPacketSize is cut off silently."""
    here = world.udp("here")
    there = world.bind(world.datagrams("there"), "127.0.0.1", maxPacketSize=10)
    here.transport.write(b"0123456789", there.address)
    here.transport.write(b"0123456789ABC", there.address)
    here.transport.write(b"next", there.address)
    await world.settle()


@script(differs={"fast": "cut no datagram unless a size is asked for"})
async def the_usual_limit(world: World) -> None:
    """Without maxPacketSize 8192 octets are the limit."""
    here, there = world.udp("here"), world.udp("there")
    for size in (8191, 8192, 8193):
        here.transport.write(b"x" * size, there.address)
    await world.settle()


@script()
async def the_largest_datagram(world: World) -> None:
    """65,507 octets can be sent; one more raises MessageLengthError."""
    here = world.udp("here")
    there = world.bind(world.datagrams("there"), "127.0.0.1", maxPacketSize=70_000)
    world.attempt("65507", here.transport.write, b"x" * 65_507, there.address)
    world.attempt("65508", here.transport.write, b"x" * 65_508, there.address)
    await world.settle()


@script()
async def the_largest_datagram_over_ipv6(world: World) -> None:
    """Over IPv6 it is 65,527 octets."""
    here = world.udp("here", "::1")
    there = world.bind(world.datagrams("there"), "::1", maxPacketSize=70_000)
    world.attempt("65527", here.transport.write, b"x" * 65_527, there.address)
    world.attempt("65528", here.transport.write, b"x" * 65_528, there.address)
    await world.settle()


@script()
async def writing_to_oneself(world: World) -> None:
    """A port can write to itself."""
    here = world.udp("here")
    here.transport.write(b"to myself", here.address)
    await world.settle()
    world.record("source", here.sources == [here.address])


@script()
async def a_taken_port_cannot_be_had(world: World) -> None:
    """Two ports on one number raise CannotListenError with errno 98; the protocol is not started."""
    here = world.udp("here")
    try:
        world.bind(world.datagrams("there"), *here.address)
    except CannotListenError as error:
        world.record("error", error.interface, error.port == here.address[1], error.socketError.errno)


@script()
async def a_port_can_be_had_again(world: World) -> None:
    """Once stopListening is done the number can be had again."""
    here = world.udp("here")
    number = here.address[1]
    await here.transport.stopListening()
    again = world.bind(world.datagrams("again"), "127.0.0.1", number)
    world.record("same number", again.address[1] == number)


@script()
async def stopping_twice(world: World) -> None:
    """stopListening once it is done returns None, and the protocol has no transport any more."""
    here = world.udp("here")
    port = here.transport
    world.record("first", await port.stopListening())
    world.record("second", port.stopListening())
    world.record("transport", here.transport)
    world.attempt("getHost", port.getHost)
    world.attempt("write", port.write, b"x", ("127.0.0.1", 9))


@script(apart=True)
async def stopping_is_asynchronous(world: World) -> None:
    """Until the next turn a port that stops still writes, and no longer reads."""
    here, there = world.udp("here"), world.udp("there")
    port = here.transport
    address = here.address
    done = port.stopListening()
    done.addCallback(lambda result: world.record("done", result))
    port.write(b"goodbye", there.address)
    there.transport.write(b"too late", address)
    await world.settle()


@script()
async def a_protocol_is_started_and_stopped(world: World) -> None:
    """startProtocol before listenUDP returns, with its transport; stopProtocol before the Deferred fires."""
    here = world.datagrams("here")
    here.startProtocol = lambda: world.record("started", here.transport is not None)  # type: ignore[method-assign]
    here.stopProtocol = lambda: world.record("stopped")  # type: ignore[method-assign]
    world.bind(here, "127.0.0.1")
    world.record("listens")
    await here.transport.stopListening()
    world.record("done")


@script()
async def writing_when_started(world: World) -> None:
    """A protocol may write in startProtocol."""
    there = world.udp("there")
    here = world.datagrams("here")
    here.startProtocol = lambda: here.transport.write(b"at once", there.address)  # type: ignore[method-assign]
    world.bind(here, "127.0.0.1")
    await world.settle()


@script()
async def what_a_port_provides(world: World) -> None:
    """A port is an IUDPTransport, and its handle a datagram socket at the same address."""
    here = world.udp("here")
    world.record("IUDPTransport", IUDPTransport.providedBy(here.transport))
    world.record("getsockname", here.transport.getHandle().getsockname() == here.address)


@script(logs=(ZeroDivisionError,))
async def an_error_while_receiving(world: World) -> None:
    """An exception in datagramReceived is logged, and the port lives on."""
    here, there = world.udp("here"), world.udp("there", data=lambda p, data: 1 // len(data))
    for datagram in (b"one", b"", b"three"):
        here.transport.write(datagram, there.address)
    await world.settle()


@script()
async def a_sequence_is_one_datagram(world: World) -> None:
    """writeSequence sends one datagram."""
    here, there = world.udp("here"), world.udp("there")
    here.transport.writeSequence([b"one ", b"", b"datagram"], there.address)
    await world.settle()


@script()
async def what_is_not_read_waits(world: World) -> None:
    """Datagrams wait while a port is paused, and come in order afterwards, from everybody."""
    here, there, other = world.udp("here"), world.udp("there"), world.udp("other")
    port = there.transport
    port.stopReading()
    here.transport.write(b"first", there.address)
    other.transport.write(b"second", there.address)
    here.transport.write(b"third", there.address)
    await world.settle()
    world.record("there", "resumes")
    port.startReading()
    await world.settle()


@script()
async def what_nobody_reads_is_dropped(world: World) -> None:
    """When the buffer is full the later datagrams are dropped, silently; the earlier stay."""
    here, there = world.udp("here"), world.udp("there")
    port = there.transport
    port.stopReading()
    for number in range(8000):
        here.transport.write(b"%04d" % number + b"x" * 1000, there.address)
    port.startReading()
    await world.settle()
    world.events.clear()
    world.record("received all", len(there.received) == 8000)
    first = [datagram[:4] for datagram in there.received[:20]]
    world.record("the first twenty", first == [b"%04d" % number for number in range(20)])


@script()
async def answering_one_who_has_left(world: World) -> None:
    """An answer to a port that is gone is lost silently."""
    here, there = world.udp("here"), world.udp("there")
    here.transport.write(b"question", there.address)
    await world.settle()
    await here.transport.stopListening()
    there.transport.write(b"answer", there.sources[0])
    await world.settle()
    there.transport.write(b"alive", there.address)
    await world.settle()


@script()
async def an_echo(world: World) -> None:
    """A hundred questions and answers, each to the source it came from."""

    def answer(port: Datagrams, data: bytes) -> None:
        port.transport.write(data.upper(), port.sources[-1])

    there = world.udp("there", data=answer)
    answers: list[Any] = []

    def ask(port: Datagrams, data: bytes) -> None:
        answers.append(data)
        if len(answers) < 100:
            port.transport.write(b"word %d" % len(answers), there.address)

    here = world.udp("here", data=ask)
    here.transport.write(b"word 0", there.address)
    await world.until(lambda: len(answers) == 100)
    world.events.clear()
    world.record("the last", answers[-1])
