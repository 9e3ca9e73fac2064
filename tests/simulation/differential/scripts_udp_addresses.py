"""UDP: who hears a datagram, who is told that nobody did, and which addresses can be written to."""

from __future__ import annotations

from .script import script
from .world import World


@script()
async def a_connected_port_needs_no_address(world: World) -> None:
    """After connect write needs no address, and another one is an AssertionError."""
    here, there = world.udp("here"), world.udp("there")
    here.transport.connect(*there.address)
    here.transport.write(b"no address")
    here.transport.write(b"its address", there.address)
    world.attempt("another address", here.transport.write, b"never", here.address)
    await world.settle()


@script()
async def a_connected_port_hears_its_peer_only(world: World) -> None:
    """A connected port gets nothing from others."""
    here, there, other = world.udp("here"), world.udp("there"), world.udp("other")
    here.transport.connect(*there.address)
    other.transport.write(b"from another", here.address)
    there.transport.write(b"from the peer", here.address)
    await world.settle()


@script(differs={"epoll": "closes the port at the first ECONNREFUSED instead (#5377)"})
async def a_connected_port_is_told_of_a_refusal(world: World) -> None:
    """Connected UDP to a port where nobody is: connectionRefused, and the port lives on."""
    here = world.udp("here")
    here.transport.connect("127.0.0.1", await world.vacant("udp"))
    here.transport.write(b"anybody?")
    await world.settle()
    world.record("listens", here.transport is not None)


@script()
async def a_refusal_is_told_by_the_next_write(world: World) -> None:
    """A paused connected port is told of a refusal when it writes again; the second datagram is not sent."""
    here = world.udp("here")
    port = here.transport
    port.connect("127.0.0.1", await world.vacant("udp"))
    port.stopReading()
    port.write(b"anybody?")
    await world.settle()
    world.record("here", "writes again")
    port.write(b"nobody?")
    await world.settle()


@script()
async def an_unconnected_port_is_not_told(world: World) -> None:
    """An unconnected port is not told of a refusal, and lives on."""
    here, there = world.udp("here"), world.udp("there")
    here.transport.write(b"anybody?", ("127.0.0.1", await world.vacant("udp")))
    await world.settle()
    here.transport.write(b"hello", there.address)
    await world.settle()


@script()
async def the_address_of_a_port(world: World) -> None:
    """getHost is the interface that was asked for, with the number that was given, and type UDP."""
    for interface in ("127.0.0.1", "", "::1", "::"):
        host = world.udp("here", interface).transport.getHost()
        world.record(interface, host.type, host.host, host.port > 1023, host.__class__.__name__)


@script()
async def ipv6_sources_are_pairs(world: World) -> None:
    """Over IPv6 the source is a pair too, without flow and scope."""
    here, there = world.udp("here", "::1"), world.udp("there", "::1")
    here.transport.write(b"six", there.address)
    await world.settle()
    world.record("source", there.sources == [here.address], len(there.sources[0]))


@script()
async def both_families(world: World) -> None:
    """A port on '::' hears IPv4 as well, from a mapped address, to which it can answer."""
    here, there = world.udp("here"), world.udp("there", "::")
    here.transport.write(b"four", ("127.0.0.1", there.transport.getHost().port))
    await world.settle()
    world.record("source", there.sources[0][0])
    there.transport.write(b"answer", there.sources[0])
    await world.settle()


@script()
async def every_address(world: World) -> None:
    """A port on '' hears what is sent to any address of this machine."""
    here, there = world.udp("here"), world.udp("there", "")
    for host in ("127.0.0.1", "127.0.0.9"):
        here.transport.write(host.encode(), (host, there.transport.getHost().port))
    await world.settle()


@script()
async def names_are_not_addresses(world: World) -> None:
    """Writing to a name raises InvalidAddressError, and so does connecting to one."""
    here = world.udp("here")
    world.attempt("write", here.transport.write, b"x", ("localhost", 9))
    world.attempt("connect", here.transport.connect, "localhost", 9)


@script()
async def the_families_do_not_mix(world: World) -> None:
    """An IPv4 port does not write to IPv6, nor the other way round: InvalidAddressError."""
    four, six = world.udp("four"), world.udp("six", "::1")
    world.attempt("to six", four.transport.write, b"x", six.address)
    world.attempt("to four", six.transport.write, b"x", four.address)
    world.attempt("broadcast", six.transport.write, b"x", ("<broadcast>", 9))
    world.attempt("interface", world.reactor.listenUDP, 0, world.datagrams("x"), interface="localhost")


@script()
async def connecting_twice(world: World) -> None:
    """A second connect raises RuntimeError."""
    here, there = world.udp("here"), world.udp("there")
    world.attempt("first", here.transport.connect, *there.address)
    world.attempt("second", here.transport.connect, *there.address)


@script()
async def connecting_decides_the_address(world: World) -> None:
    """A port on '' that connects has from then on the address that it is seen with."""
    here, there = world.udp("here", ""), world.udp("there")
    here.transport.connect(*there.address)
    world.record("host", here.transport.getHost().host)


@script()
async def broadcasting_needs_permission(world: World) -> None:
    """Writing to a broadcast address raises PermissionError until setBroadcastAllowed."""
    here = world.udp("here", "")
    world.record("allowed", here.transport.getBroadcastAllowed())
    world.attempt("write", here.transport.write, b"x", ("127.255.255.255", 9))
    here.transport.setBroadcastAllowed(True)
    world.record("allowed", here.transport.getBroadcastAllowed())
    world.attempt("write", here.transport.write, b"x", ("127.255.255.255", 9))
    here.transport.setBroadcastAllowed(False)
    world.record("allowed", here.transport.getBroadcastAllowed())


@script()
async def a_broadcast_reaches_those_on_every_address(world: World) -> None:
    """A broadcast reaches a port on '', and not one on a single address."""
    here, there = world.udp("here", ""), world.udp("there", "")
    here.transport.setBroadcastAllowed(True)
    here.transport.write(b"to all", ("127.255.255.255", there.transport.getHost().port))
    other = world.udp("other")
    here.transport.write(b"to all", ("127.255.255.255", other.address[1]))
    await world.settle()


@script()
async def port_0_is_nobody(world: World) -> None:
    """Writing to port 0 raises OSError."""
    here = world.udp("here")
    world.attempt("write", here.transport.write, b"x", ("127.0.0.1", 0))


@script()
async def a_refusal_by_somebody_else_is_not_told(world: World) -> None:
    """A port that connects is not told that another one, written to before, refuses."""
    here, there = world.udp("here"), world.udp("there")
    here.transport.write(b"nobody", ("127.0.0.1", await world.vacant("udp")))
    here.transport.connect(*there.address)
    await world.settle()
    here.transport.write(b"somebody")
    await world.settle()
