"""UDP as a program sees it: the same on real sockets and on simulated ones."""

from __future__ import annotations

import select
import socket
from typing import Any

from tests.simulation.kernel.props import GROUP, JOIN, LEAVE, membership
from tests.simulation.kernel.wires import World, same_on_both

IN, OUT, ERR, HUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP


@same_on_both
def test_a_fresh_socket(world: World) -> None:
    fresh = world.udp()
    world.polls(fresh)
    world.tries(fresh.getsockname)
    world.tries(fresh.getpeername)
    world.tries(fresh.recv, 10)
    world.tries(fresh.send, b"x")
    world.tries(fresh.shutdown, socket.SHUT_WR)
    world.error(fresh)


@same_on_both
def test_a_datagram_socket_neither_listens_nor_accepts(world: World) -> None:
    bound = world.bound_udp()
    world.tries(bound.listen, 1)
    world.tries(bound.accept)


@same_on_both
def test_a_datagram_comes_whole_and_names_its_sender(world: World) -> None:
    one, other = world.bound_udp(), world.bound_udp()
    world.tries(one.sendto, b"hello", other.getsockname())
    world.wait(other)
    world.polls(other)
    data, source = other.recvfrom(100)
    world.note(data, source == one.getsockname())
    world.polls(other)
    world.tries(other.recvfrom, 100)


@same_on_both
def test_datagrams_are_not_joined_and_come_in_order(world: World) -> None:
    one, other = world.bound_udp(), world.bound_udp()
    for data in (b"a", b"bb", b"", b"ccc"):
        world.tries(one.sendto, data, other.getsockname())
    world.wait(other)
    for _ in range(5):
        world.tries(other.recv, 100)


@same_on_both
def test_what_does_not_fit_is_cut_off(world: World) -> None:
    one, other = world.bound_udp(), world.bound_udp()
    one.sendto(b"0123456789", other.getsockname())
    one.sendto(b"next", other.getsockname())
    world.wait(other)
    world.tries(other.recv, 4)
    world.tries(other.recv, 4)
    one.sendto(b"abcdef", other.getsockname())
    world.wait(other)
    buffer = bytearray(4)
    world.tries(other.recv_into, buffer)
    world.note(bytes(buffer))


@same_on_both
def test_receiving_nothing_of_a_datagram_takes_it(world: World) -> None:
    one, other = world.bound_udp(), world.bound_udp()
    one.sendto(b"gone", other.getsockname())
    one.sendto(b"next", other.getsockname())
    world.wait(other)
    world.note(other.recvfrom(0)[0])
    world.tries(other.recv, 10)


@same_on_both
def test_peeking_leaves_a_datagram(world: World) -> None:
    one, other = world.bound_udp(), world.bound_udp()
    one.sendto(b"hello", other.getsockname())
    world.wait(other)
    world.tries(other.recv, 2, socket.MSG_PEEK)
    world.tries(other.recv, 100, socket.MSG_PEEK)
    world.tries(other.recv, 100)
    world.tries(other.recv, 100)


@same_on_both
def test_the_longest_datagram(world: World) -> None:
    one, other = world.bound_udp(), world.bound_udp()
    world.tries(one.sendto, b"x" * 65508, other.getsockname())
    world.tries(one.sendto, b"x" * 65507, other.getsockname())
    world.wait(other)
    world.note(len(other.recv(100_000)))


@same_on_both
def test_the_longest_datagram_of_ipv6(world: World) -> None:
    one, other = world.bound_udp("::1"), world.bound_udp("::1")
    world.tries(one.sendto, b"x" * 65528, other.getsockname())
    world.tries(one.sendto, b"x" * 65527, other.getsockname())
    world.wait(other)
    world.note(len(other.recv(100_000)))


@same_on_both
def test_a_socket_that_sends_is_bound(world: World) -> None:
    one, other = world.udp(), world.bound_udp()
    world.tries(one.sendto, b"x", other.getsockname())
    world.note(one.getsockname()[0], one.getsockname()[1] > 0)
    world.wait(other)
    world.note(other.recvfrom(10)[1] == ("127.0.0.1", one.getsockname()[1]))


@same_on_both
def test_nobody_hears_of_a_port_that_nobody_has_unless_it_is_connected(world: World) -> None:
    one = world.bound_udp()
    world.tries(one.sendto, b"x", ("127.0.0.1", world.dead_port(socket.SOCK_DGRAM)))
    world.polls(one)
    world.error(one)
    world.tries(one.recv, 1)


@same_on_both
def test_a_connected_socket_hears_that_nobody_is_there(world: World) -> None:
    one = world.udp()
    world.tries(one.connect, ("127.0.0.1", world.dead_port(socket.SOCK_DGRAM)))
    world.polls(one)
    world.tries(one.send, b"x")
    world.wait(
        one, ERR
    )  # the simulation is readable as well, which keeps Twisted's ports open (select does it)
    world.tries(one.recv, 1)
    world.tries(one.recv, 1)
    world.tries(one.send, b"x")
    world.wait(one, ERR)
    world.tries(one.send, b"x")
    world.tries(one.send, b"x")
    world.wait(one, ERR)
    world.error(one)
    world.polls(one)


@same_on_both
def test_a_refusal_comes_before_what_waits_to_be_read(world: World) -> None:
    one, other = world.bound_udp(), world.bound_udp()
    one.connect(other.getsockname())
    other.sendto(b"before", one.getsockname())
    other.close()
    world.wait(one)
    one.send(b"x")
    world.wait(one, ERR)
    world.polls(one)
    world.tries(one.recv, 10)
    world.tries(one.recv, 10)


@same_on_both
def test_a_connected_socket_hears_its_peer_alone(world: World) -> None:
    one, other, stranger = world.bound_udp(), world.bound_udp(), world.bound_udp()
    world.tries(one.connect, other.getsockname())
    world.note(one.getpeername() == other.getsockname())
    world.tries(stranger.sendto, b"stranger", one.getsockname())
    world.tries(other.sendto, b"peer", one.getsockname())
    world.wait(one)
    world.tries(one.recv, 100)
    world.tries(one.recv, 100)
    world.tries(one.sendto, b"to another", stranger.getsockname())
    world.wait(stranger)
    world.tries(stranger.recv, 100)


@same_on_both
def test_a_connected_socket_may_be_connected_to_another(world: World) -> None:
    one, other, third = world.bound_udp(), world.bound_udp(), world.bound_udp()
    one.connect(other.getsockname())
    one.connect(third.getsockname())
    world.note(one.getpeername() == third.getsockname())
    other.sendto(b"from the first", one.getsockname())
    third.sendto(b"from the second", one.getsockname())
    world.wait(one)
    world.tries(one.recv, 100)


@same_on_both
def test_what_came_before_connecting_is_kept(world: World) -> None:
    one, other, stranger = world.bound_udp(), world.bound_udp(), world.bound_udp()
    stranger.sendto(b"early", one.getsockname())
    world.wait(one)
    one.connect(other.getsockname())
    world.tries(one.recv, 100)


@same_on_both
def test_connecting_names_a_socket(world: World) -> None:
    other = world.bound_udp()
    fresh, anywhere = world.udp(), world.bound_udp("0.0.0.0")
    for opened in (fresh, anywhere):
        world.tries(opened.connect, other.getsockname())
        world.note(opened.getsockname()[0], opened.getsockname()[1] > 0)


@same_on_both
def test_connecting_to_the_wildcard_is_connecting_home(world: World) -> None:
    other = world.bound_udp("0.0.0.0")
    one = world.udp()
    world.tries(one.connect, ("0.0.0.0", other.getsockname()[1]))
    world.note(one.getpeername()[0])
    world.tries(one.send, b"x")
    world.wait(other)
    world.note(other.recvfrom(10)[1] == one.getsockname())
    world.tries(other.sendto, b"y", one.getsockname())
    world.wait(one)
    world.tries(one.recv, 10)


@same_on_both
def test_sending_to_the_wildcard_is_sending_home(world: World) -> None:
    other, one = world.bound_udp("0.0.0.0"), world.bound_udp("0.0.0.0")
    world.tries(one.sendto, b"x", ("0.0.0.0", other.getsockname()[1]))
    world.wait(other)
    data, source = other.recvfrom(10)
    world.note(data, source[0])


@same_on_both
def test_port_zero_cannot_be_sent_to(world: World) -> None:
    one = world.bound_udp()
    world.tries(one.sendto, b"x", ("127.0.0.1", 0))
    world.tries(one.sendto, b"x", ("127.0.0.1", 65536))
    world.tries(one.sendto, b"x", ("::1", 7))
    world.tries(one.sendto, b"x", ("127.0.0.1",))


@same_on_both
def test_a_broadcast_wants_permission(world: World) -> None:
    one = world.bound_udp()
    world.tries(one.sendto, b"x", ("255.255.255.255", 9))
    world.note(one.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST))
    world.tries(world.udp().connect, ("255.255.255.255", 9))


@same_on_both
def test_a_socket_for_both_families_shows_ipv4_mapped(world: World) -> None:
    both = world.udp(socket.AF_INET6)
    both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    both.bind(("::", 0))
    four, six = world.bound_udp(), world.bound_udp("::1")
    port = both.getsockname()[1]
    world.tries(four.sendto, b"four", ("127.0.0.1", port))
    world.wait(both)
    data, source = both.recvfrom(10)
    world.note(data, source[0], source[1] == four.getsockname()[1], source[2:])
    world.tries(six.sendto, b"six", ("::1", port))
    world.wait(both)
    data, source = both.recvfrom(10)
    world.note(data, source == six.getsockname())
    world.tries(both.sendto, b"back", ("::ffff:127.0.0.1", four.getsockname()[1]))
    world.wait(four)
    world.note(four.recvfrom(10) == (b"back", ("127.0.0.1", port)))


@same_on_both
def test_a_socket_for_ipv6_only_does_not_hear_ipv4(world: World) -> None:
    six = world.udp(socket.AF_INET6)
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    six.bind(("::", 0))
    four = world.udp()
    four.connect(("127.0.0.1", six.getsockname()[1]))
    four.send(b"x")
    world.wait(four, ERR)
    world.error(four)
    world.tries(six.recv, 1)
    world.tries(six.sendto, b"x", ("::ffff:127.0.0.1", 9))


@same_on_both
def test_bound_to_an_address_of_ipv6_nobody_of_ipv4_is_reached(world: World) -> None:
    six, four = world.bound_udp("::1"), world.bound_udp()
    world.tries(six.sendto, b"x", ("::ffff:127.0.0.1", four.getsockname()[1]))
    world.tries(four.recv, 10)


@same_on_both
def test_a_datagram_is_for_the_most_exact_name(world: World) -> None:
    anywhere, exact = world.udp(), world.udp()
    for opened in (anywhere, exact):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    exact.bind(("127.0.0.1", world.dead_port(socket.SOCK_DGRAM)))
    port = exact.getsockname()[1]
    anywhere.bind(("0.0.0.0", port))
    sender = world.bound_udp()
    sender.sendto(b"one", ("127.0.0.1", port))
    sender.sendto(b"two", ("127.0.0.2", port))
    world.wait(exact)
    world.tries(exact.recv, 10)
    world.wait(anywhere)
    world.tries(anywhere.recv, 10)
    connected = world.udp()
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connected.bind(("127.0.0.1", port))
    connected.connect(sender.getsockname())
    sender.sendto(b"three", ("127.0.0.1", port))
    world.wait(connected)
    world.tries(connected.recv, 10)


@same_on_both
def test_of_two_that_share_a_port_the_later_hears_it(world: World) -> None:
    first, second = world.udp(), world.udp()
    for opened in (first, second):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    first.bind(("127.0.0.1", 0))
    second.bind(first.getsockname())
    world.udp().sendto(b"x", first.getsockname())
    world.wait(second)
    world.tries(second.recv, 10)
    world.tries(first.recv, 10)


@same_on_both
def test_those_who_share_by_reuseport_share_the_senders(world: World) -> None:
    shared = [world.udp() for _ in range(2)]
    for opened in shared:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared[0].bind(("127.0.0.1", 0))
    shared[1].bind(shared[0].getsockname())
    senders = [world.bound_udp() for _ in range(40)]
    heard: dict[Any, set[int]] = {}
    for _ in range(2):
        for sender in senders:
            sender.sendto(b"x", shared[0].getsockname())
    world.poll(shared[0])
    for index, opened in enumerate(shared):
        while not isinstance(found := world.attempt(opened.recvfrom, 10), str):
            heard.setdefault(found[1], set()).add(index)
    world.note(len(heard), {len(indices) for indices in heard.values()})
    world.note(len({index for indices in heard.values() for index in indices}))


@same_on_both
def test_a_group_is_heard_by_its_members_until_they_leave(world: World) -> None:
    member, other = world.udp(), world.bound_udp()
    member.bind(("0.0.0.0", 0))
    other.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    to = (GROUP, member.getsockname()[1])
    world.tries(other.sendto, b"nobody", to)
    world.tries(member.recv, 10)
    world.tries(member.setsockopt, *JOIN, membership())
    world.tries(member.setsockopt, *JOIN, membership())
    world.tries(other.sendto, b"member", to)
    world.wait(member)
    world.note(member.recvfrom(10) == (b"member", other.getsockname()))
    world.tries(member.setsockopt, *LEAVE, membership())
    world.tries(member.setsockopt, *LEAVE, membership())
    world.tries(other.sendto, b"nobody", to)
    world.tries(member.recv, 10)


@same_on_both
def test_what_is_no_group_is_not_joined(world: World) -> None:
    one = world.bound_udp()
    world.tries(one.setsockopt, *JOIN, membership("127.0.0.1"))
    world.tries(one.setsockopt, *JOIN, membership("10.1.2.3"))


@same_on_both
def test_every_socket_that_shares_a_port_hears_the_group(world: World) -> None:
    members = [world.udp() for _ in range(3)]
    for member in members:
        member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    members[0].bind(("0.0.0.0", 0))
    port = members[0].getsockname()[1]
    for member in members[1:]:
        member.bind(("0.0.0.0", port))
    for member in members[:2]:
        member.setsockopt(*JOIN, membership())
    sender = world.bound_udp()
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    sender.sendto(b"all", (GROUP, port))
    world.wait(members[0])
    for member in members:
        world.tries(member.recv, 10)


@same_on_both
def test_a_socket_bound_to_its_own_address_hears_no_group(world: World) -> None:
    member, sender = world.bound_udp(), world.bound_udp()
    member.setsockopt(*JOIN, membership())
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    world.tries(sender.sendto, b"x", (GROUP, member.getsockname()[1]))
    world.polls(member)
    world.tries(member.recv, 10)


@same_on_both
def test_the_options_of_a_sender_to_groups(world: World) -> None:
    sender = world.bound_udp()
    world.note(sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP))
    world.note(sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL))
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    world.note(sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP))


@same_on_both
def test_the_receive_buffer_overflows_and_what_it_holds_is_kept(world: World) -> None:
    one, other = world.bound_udp(), world.bound_udp()
    for number in range(2000):
        one.sendto(b"%4d" % number + b"x" * 1000, other.getsockname())
    world.wait(other)
    kept = []
    while not isinstance(data := world.attempt(other.recv, 2000), str):
        kept.append(int(data[:4]))
    world.note(kept == list(range(len(kept))), 50 < len(kept) < 400)
    one.sendto(b"again", other.getsockname())
    world.wait(other)
    world.tries(other.recv, 10)
