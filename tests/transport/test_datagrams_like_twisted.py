"""Datagram ports on the hub against Twisted's own, on real sockets: one script, one list of events.

Each script is run on Twisted's ports and on each kind of ours, and they have to agree on what the protocol was told, in
which order, on what was raised and logged, and on what the peers heard.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from .live_datagrams import KINDS, Live, Recording, live

Script = Callable[[Live], None]
FAMILIES = ("udp", "udp6", "unix")


def echo(protocol: Recording, datagram: bytes, sender: Any) -> None:
    protocol.transport.write(datagram, sender)


def an_echo_answers_in_order(world: Live) -> None:
    """Bursts of many lengths, with empty datagrams among them."""
    port, here = world.port(Recording(world, echo)), world.plain()
    for burst in (1, 1, 1, 2, 5, 40, 1, 1, 1, 1, 1, 70, 3):
        for number in world.few(burst):
            here.sendto(b"%d" % number * (number % 7), world.address(port))
        world.settle()
        world.record("heard", world.heard(here))


def many_peers_get_their_own_answers(world: Live) -> None:
    """Their datagrams come mixed."""
    port = world.port(Recording(world, echo))
    peers = [world.plain() for _ in range(5)]
    for number in world.few(60):
        peers[number * number % 5].sendto(b"%d" % number, world.address(port))
    world.settle()
    world.record("heard", [world.heard(peer) for peer in peers])
    senders = port.protocol.senders
    world.record("senders", [[world.address(peer) for peer in peers].index(sender) for sender in senders])


def an_exception_is_logged(world: Live) -> None:
    """The next datagram is delivered."""

    def divide(protocol: Recording, datagram: bytes, sender: Any) -> None:
        1 // (len(datagram) % 3)
        echo(protocol, datagram, sender)

    port, here = world.port(Recording(world, divide)), world.plain()
    for number in world.few(12):
        here.sendto(b"x" * number, world.address(port))
    world.settle()
    world.record("heard", world.heard(here))


def stopping_from_within(world: Live) -> None:
    """What is there by then is still delivered, and answered."""

    def stop(protocol: Recording, datagram: bytes, sender: Any) -> None:
        echo(protocol, datagram, sender)
        if datagram == b"3":
            done = protocol.transport.stopListening()
            done.addCallback(lambda _: world.record("done"))

    port, here = world.port(Recording(world, stop)), world.plain()
    for number in world.few(9):
        here.sendto(b"%d" % number, world.address(port))
    world.settle()
    world.record("heard", world.heard(here))


def stopping_in_the_middle_of_a_flood(world: Live) -> None:
    """More than a batch is there."""

    def stop(protocol: Recording, datagram: bytes, sender: Any) -> None:
        if datagram == b"40":
            protocol.transport.stopListening()

    port, here = world.port(Recording(world, stop)), world.plain()
    port.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    peers = [world.plain() for _ in range(30)]
    for number in world.few(120):
        peers[number % 30].sendto(b"%d" % (number + 35), world.address(port))
    world.settle()
    world.record("heard", world.heard(here))


def another_protocol_takes_over(world: Live) -> None:
    """It is told of the next datagram."""
    second = Recording(world, lambda protocol, datagram, sender: world.record("second", datagram))

    def hand_over(protocol: Recording, datagram: bytes, sender: Any) -> None:
        if datagram == b"4":
            transport = protocol.transport
            second.makeConnection(transport)
            transport.protocol = second

    port, here = world.port(Recording(world, hand_over)), world.plain()
    for number in world.few(9):
        here.sendto(b"%d" % number, world.address(port))
    world.settle()


def writing_from_within_and_without(world: Live) -> None:
    """All in order."""
    port, here = world.port(Recording(world, echo)), world.plain()
    port.write(b"first of all", world.address(here))
    for number in world.few(7):
        here.sendto(b"%d" % number, world.address(port))
    world.settle()
    port.write(b"without", world.address(here))
    here.sendto(b"last", world.address(port))
    world.settle()
    world.record("heard", world.heard(here))


def long_and_short_datagrams(world: Live) -> None:
    """The long ones are not held, and yet they keep their place."""

    def answer(protocol: Recording, datagram: bytes, sender: Any) -> None:
        protocol.transport.write(datagram * (9000 if datagram in {b"3", b"7"} else 1), sender)
        protocol.transport.write(bytearray(datagram), sender)
        protocol.transport.writeSequence([datagram, b"!"], sender)

    port, here = world.port(Recording(world, answer)), world.plain()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    for number in range(9 if world.family != "unix" else 3):
        here.sendto(b"%d" % number, world.address(port))
    world.settle()
    world.record("heard", world.heard(here))


def a_limit_is_kept(world: Live) -> None:
    """What is longer is cut."""
    port, here = world.port(Recording(world, echo), maxPacketSize=10), world.plain()
    for length in (9, 10, 11, 1000, 0, 10, 60_000, 3):
        here.sendto(b"x" * length, world.address(port))
    world.settle()
    world.record("heard", world.heard(here))


def running_the_reactor_from_within(world: Live) -> None:
    """What comes next is delivered then, and what comes last, last."""

    def turn(protocol: Recording, datagram: bytes, sender: Any) -> None:
        echo(protocol, datagram, sender)
        if datagram in {b"2", b"5", b"40"}:
            world.record("begins")
            world.turn(1)
        world.record("ends", datagram)

    port, here = world.port(Recording(world, turn)), world.plain()
    for number in world.few(9):
        here.sendto(b"%d" % number, world.address(port))
    world.settle()
    world.events[:] = sorted(
        world.events, key=str
    )  # what is delivered within differs; nothing is lost or doubled
    world.record("heard", sorted(world.heard(here)))


def addresses_that_cannot_be_written_to(world: Live) -> None:
    """They raise, each time, from within and without."""
    bad: list[Any] = [
        ("localhost", 9),
        ("<broadcast>", 9),
        ("::1", 9),
        ("127.0.0.1", 9),
        ("1.2", 9),
        None,
        (),
        5,
        [1],
    ]
    bad += [
        ("127.0.0.1", 0),
        ("127.0.0.1", 70_000),
        ("127.0.0.1", -1),
        ("127.0.0.1",),
        ("127.0.0.1", "9"),
        "/gone",
    ]

    def answer(protocol: Recording, datagram: bytes, sender: Any) -> None:
        for address in [*bad, sender, *bad]:
            world.attempt(
                repr(address) if address != sender else "sender", protocol.transport.write, datagram, address
            )

    port, here = world.port(Recording(world, answer)), world.plain()
    for number in world.few(7):
        here.sendto(b"%d" % number, world.address(port))
    world.settle()
    answer(port.protocol, b"without", world.address(here))
    world.record("heard", world.heard(here))


def too_long_a_datagram(world: Live) -> None:
    """It raises at once, from within and without."""

    def answer(protocol: Recording, datagram: bytes, sender: Any) -> None:
        world.attempt("too long", protocol.transport.write, b"x" * 20_000_000, sender)
        protocol.transport.write(datagram, sender)
        world.attempt("no bytes", protocol.transport.write, "text", sender)

    port, here = world.port(Recording(world, answer)), world.plain()
    for number in world.few(7):
        here.sendto(b"%d" % number, world.address(port))
    world.settle()
    answer(port.protocol, b"without", world.address(here))
    world.record("heard", world.heard(here))


def after_the_loss(world: Live) -> None:
    """Nothing can be done with a port."""
    port, here = world.port(Recording(world, echo)), world.plain()
    for _ in world.few(9):
        here.sendto(b"x", world.address(port))
    world.settle()
    fired: list[Any] = []
    port.stopListening().addCallback(fired.append)
    port.write(b"goodbye", world.address(here))
    world.settle()
    world.record("fired", fired, "again", port.stopListening())
    world.attempt("write", port.write, b"x", world.address(here))
    world.attempt("getHost", port.getHost)
    world.record("heard", world.heard(here), port.connected, port.disconnected, port.fileno())


def the_last_words_of_a_protocol(world: Live) -> None:
    """stopProtocol may write."""
    port, here = world.port(Recording(world, echo)), world.plain()
    for _ in world.few(9):
        here.sendto(b"x", world.address(port))
    world.settle()
    port.protocol.stopProtocol = lambda: port.write(b"last words", world.address(here))
    port.stopListening()
    world.settle()
    world.record("heard", world.heard(here))


def the_words_for_a_port(world: Live) -> None:
    """What is shown, logged and provided."""
    port = world.port(Recording(world))
    world.record(port.logPrefix(), port.getHost().__class__.__name__, port.getHandle() is port.socket)
    world.record(repr(port).replace(str(getattr(port, "_realPortNumber", None) or port.port), ""))
    world.record(port.addressFamily, port.socketType, port.reactor is world.reactor)


SCRIPTS: list[Script] = [
    an_echo_answers_in_order,
    many_peers_get_their_own_answers,
    an_exception_is_logged,
    stopping_from_within,
    stopping_in_the_middle_of_a_flood,
    another_protocol_takes_over,
    writing_from_within_and_without,
    long_and_short_datagrams,
    a_limit_is_kept,
    running_the_reactor_from_within,
    addresses_that_cannot_be_written_to,
    too_long_a_datagram,
    after_the_loss,
    the_last_words_of_a_protocol,
    the_words_for_a_port,
]


def events_of(script: Script, kind: str, family: str, folder: Path) -> list[Any]:
    with live(kind, family, folder / kind) as world:
        script(world)
        return [*world.events, ("errors", world.errors)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "stock"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_script_gives_the_same_events(script: Script, family: str, kind: str, tmp_path: Path) -> None:
    expected = events_of(script, "stock", family, tmp_path)
    assert expected
    assert events_of(script, kind, family, tmp_path) == expected


ACTIONS: list[Callable[[Recording, bytes, Any, Any], object]] = [
    lambda protocol, datagram, sender, other: None,
    lambda protocol, datagram, sender, other: protocol.transport.write(datagram, sender),
    lambda protocol, datagram, sender, other: protocol.transport.write(datagram, other),
    lambda protocol, datagram, sender, other: [protocol.transport.write(datagram, sender) for _ in range(3)],
    lambda protocol, datagram, sender, other: protocol.transport.write(datagram * 5000, sender),
    lambda protocol, datagram, sender, other: protocol.transport.write(bytearray(datagram), sender),
    lambda protocol, datagram, sender, other: protocol.transport.write(datagram, ("nobody", 9)),
    lambda protocol, datagram, sender, other: protocol.world.record(
        "turns", protocol.world.reactor.iterate(0)
    ),
    lambda protocol, datagram, sender, other: protocol.transport.setBroadcastAllowed(True),
]
"""What a protocol may do with a datagram, its sender and somebody else."""

BURSTS = strategies.lists(
    strategies.lists(strategies.integers(0, len(ACTIONS) - 1), min_size=1, max_size=80),
    min_size=1,
    max_size=8,
)


def of_whatever_comes(world: Live, bursts: list[list[int]]) -> list[Any]:
    """Datagrams that say what to do with them."""
    other = world.plain()

    def act(protocol: Recording, datagram: bytes, sender: Any) -> None:
        ACTIONS[int(datagram[:1])](protocol, datagram, sender, world.address(other))

    port, here = world.port(Recording(world, act)), world.plain()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    heard = []
    for burst in bursts:
        for number, action in enumerate(burst):
            here.sendto(b"%d %d" % (action, number), world.address(port))
        world.settle()
        heard.append((world.heard(here), world.heard(other)))
    return [heard, received(world), world.errors, port.protocol.senders]


def received(world: Live) -> list[object]:
    return [event[1] for event in world.events if event[0] == "received"]


@given(bursts=BURSTS)
@settings(max_examples=25, deadline=None)
def test_whatever_comes_has_the_same_answers(bursts: list[list[int]]) -> None:
    found = {}
    for kind in ("stock", "fast", "in batches"):
        with tempfile.TemporaryDirectory() as folder, live(kind, "udp", Path(folder)) as world:
            heard, told, errors, senders = of_whatever_comes(world, bursts)
            found[kind] = (heard, told, errors, len(set(senders)))
    assert found["fast"] == found["stock"]
    assert found["in batches"] == found["stock"]
