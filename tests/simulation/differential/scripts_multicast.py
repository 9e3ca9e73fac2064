"""Multicast on the loopback interface: groups, loopback, time to live."""

from __future__ import annotations

from twisted.internet.interfaces import IMulticastTransport

from .recording import Datagrams
from .script import script
from .world import LOOPBACK, World


async def member(world: World, name: str, port: int = 0) -> Datagrams:
    """A multicast port on every address, whose datagrams leave through the loopback interface."""
    protocol = world.datagrams(name)
    world.keep_port(world.reactor.listenMulticast(port, protocol, listenMultiple=True))
    await protocol.transport.setOutgoingInterface(LOOPBACK["udp"])
    return protocol


def number(protocol: Datagrams) -> int:
    """The port number of a member."""
    found: int = protocol.transport.getHost().port
    return found


@script()
async def who_has_joined_hears(world: World) -> None:
    """A datagram to a group reaches who has joined it, and after leaving no more."""
    here, there = await member(world, "here"), await member(world, "there")
    await there.transport.joinGroup(world.group, LOOPBACK["udp"])
    here.transport.write(b"joined", (world.group, number(there)))
    await world.settle()
    await there.transport.leaveGroup(world.group, LOOPBACK["udp"])
    here.transport.write(b"left", (world.group, number(there)))
    await world.settle()


@script()
async def one_hears_oneself(world: World) -> None:
    """A member that sends to its own group hears itself; loopback is on at first, and what was set is kept."""
    here = await member(world, "here")
    await here.transport.joinGroup(world.group, LOOPBACK["udp"])
    here.transport.write(b"to myself", (world.group, number(here)))
    await world.settle()
    world.record("loopback", bool(here.transport.getLoopbackMode()))
    here.transport.setLoopbackMode(False)
    world.record("loopback", bool(here.transport.getLoopbackMode()))


@script(apart=True)
async def two_on_one_number_both_hear(world: World) -> None:
    """With listenMultiple two ports may have one number, and both hear the group."""
    here = await member(world, "here")
    there = await member(world, "there", number(here))
    for one in (here, there):
        await one.transport.joinGroup(world.group, LOOPBACK["udp"])
    here.transport.write(b"to both", (world.group, number(here)))
    await world.settle()


@script()
async def joining_twice(world: World) -> None:
    """Joining a group twice fails, and so does leaving one that was not joined."""
    here = await member(world, "here")
    for call in ("joinGroup", "joinGroup", "leaveGroup", "leaveGroup"):
        done = getattr(here.transport, call)(world.group, LOOPBACK["udp"])
        done.addCallbacks(
            lambda _, call=call: world.record(call, "done"),
            lambda failure, call=call: world.record(call, failure.type.__name__),
        )
        await done


@script()
async def the_options_of_a_multicast_port(world: World) -> None:
    """TTL is 1 at first and can be set; the outgoing interface is what was set."""
    here = await member(world, "here")
    world.record("provides", IMulticastTransport.providedBy(here.transport))
    world.record("TTL", here.transport.getTTL())
    here.transport.setTTL(7)
    world.record("TTL", here.transport.getTTL())
    world.record("interface", here.transport.getOutgoingInterface())


@script()
async def without_sharing_a_number_is_taken(world: World) -> None:
    """Without listenMultiple a taken number raises CannotListenError."""
    first = world.datagrams("first")
    world.keep_port(world.reactor.listenMulticast(0, first))
    second = world.datagrams("second")
    world.attempt("second", world.reactor.listenMulticast, number(first), second)
