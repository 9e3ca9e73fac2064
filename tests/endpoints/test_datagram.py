"""Datagram endpoints from strings, over a reactor in memory and over real loopback."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twistnet import (
    IDatagramServerEndpoint,
    IDatagramServerEndpointStringParser,
    SystemdDatagramServerEndpoint,
    UDPServerEndpoint,
    UNIXDatagramServerEndpoint,
    datagram_server_from_string,
)
from twistnet.endpoints.datagram import datagram_prefixes
from twistnet.endpoints.datagram_client import UDPTarget, UNIXDatagramTarget, parse_datagram_target
from twistnet.endpoints.unix_paths import clear_dead_socket
from twistnet.units import LONGEST_DATAGRAM


class Reactor:
    """Listens for datagrams in memory."""

    def __init__(self) -> None:
        self.listening: list[tuple[Any, ...]] = []

    def adoptDatagramPort(self, descriptor: int, family: int, *arguments: Any) -> str:
        with socket.socket(fileno=socket.dup(descriptor)) as adopted:
            alone = adopted.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            self.listening.append((family, alone, adopted.getsockname()[0], *arguments))
        return "port"

    def listenUDP(self, *arguments: Any) -> str:
        self.listening.append(arguments)
        return "port"


class ServerTests(SynchronousTestCase):
    """`datagram_server_from_string`."""

    def test_strings(self) -> None:
        """Each prefix, with what it may say."""
        for text, expected in (
            ("udp:7009", UDPServerEndpoint(reactor=None, port=7009)),
            (
                "udp:port=7009:interface=192.0.2.1",
                UDPServerEndpoint(reactor=None, port=7009, interface="192.0.2.1"),
            ),
            (r"udp6:7009:interface=\:\:", UDPServerEndpoint(reactor=None, port=7009, interface="::")),
            ("udp6:0", UDPServerEndpoint(reactor=None, port=0, interface="::1")),
            ("udp:1:reuse_port=on", UDPServerEndpoint(reactor=None, port=1, reuse_port=True)),
            ("udp:1:max_datagram=9KiB", UDPServerEndpoint(reactor=None, port=1, max_datagram=9216)),
            ("unix-datagram:/a:mode=600", UNIXDatagramServerEndpoint(reactor=None, address="/a", mode=0o600)),
        ):
            endpoint = datagram_server_from_string(None, text)
            self.assertEqual(endpoint, expected)
            self.assertTrue(verifyObject(IDatagramServerEndpoint, endpoint))

    def test_what_is_wrong_is_said(self) -> None:
        """With what would be right."""
        for text, problem in (
            ("upd:7009", "did you mean udp?"),
            ("udp", "lacks its port"),
            ("udp:70000", "'70000', is not a port"),
            ("udp:1:interface=nonsense", "interface 'nonsense' is not a numeric address"),
            ("udp:1:reuse_port=perhaps", "neither on nor off"),
            ("unix-datagram:/a:mode=888", "'888', is not an octal permission"),
            ("systemd-datagram:domain=UNIX:index=0", "neither INET nor INET6"),
            ("systemd-datagram:domain=INET", "either an index or a name"),
            ("systemd-datagram:domain=INET:index=x", "systemd passed no socket 'x'"),
        ):
            error = self.assertRaises(ValueError, datagram_server_from_string, None, text)
            self.assertIn(problem, str(error))

    def test_reads_whole_datagrams(self) -> None:
        """With one octet more than may come, so that a longer one can be told."""
        reactor = Reactor()
        protocol = DatagramProtocol()
        port = self.successResultOf(datagram_server_from_string(reactor, "udp:7009").listen(protocol))
        self.assertEqual(port, "port")
        self.assertEqual(reactor.listening, [(7009, protocol, "127.0.0.1", LONGEST_DATAGRAM + 1)])

    def test_every_ipv6_interface_is_of_ipv6_alone(self) -> None:
        """So that `udp:` can have the same port: a peer of IPv4 that comes mapped is one that the guard drops."""
        reactor = Reactor()
        protocol = DatagramProtocol()
        endpoint = datagram_server_from_string(reactor, r"udp6:0:interface=\:\:")
        self.assertEqual(self.successResultOf(endpoint.listen(protocol)), "port")
        self.assertEqual(reactor.listening, [(socket.AF_INET6, 1, "::", protocol, LONGEST_DATAGRAM + 1)])

    def test_the_prefixes_are_plugins(self) -> None:
        """Found as another package's are."""
        parsers = datagram_prefixes()
        self.assertEqual({"udp", "udp6", "unix-datagram", "systemd-datagram"} - set(parsers), set())
        for parser in parsers.values():
            self.assertTrue(verifyObject(IDatagramServerEndpointStringParser, parser))

    def test_a_shared_port_that_somebody_has_alone(self) -> None:
        """Fails as listening does."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            endpoint = UDPServerEndpoint(reactor=None, port=taken.getsockname()[1], reuse_port=True)
            self.failureResultOf(endpoint.listen(DatagramProtocol()), CannotListenError)

    def test_a_descriptor_that_is_none(self) -> None:
        """Fails as listening does."""
        endpoint = SystemdDatagramServerEndpoint(reactor=None, descriptor=9999, family=socket.AF_INET)
        self.failureResultOf(endpoint.listen(DatagramProtocol()), OSError)


class TargetTests(SynchronousTestCase):
    """`parse_datagram_target`."""

    def test_strings(self) -> None:
        """What is for datagrams, and what is not."""
        self.assertEqual(parse_datagram_target("udp:localhost:7009"), UDPTarget("localhost", 7009))
        self.assertEqual(parse_datagram_target("unix-datagram:/a"), UNIXDatagramTarget("/a"))
        self.assertIsNone(parse_datagram_target("tcp:localhost:7007"))
        for text in (
            "udp",
            "udp:h",
            "udp:h:x",
            "udp:h:0",
            "udp:h:1:2",
            "udp:h:1:hots=2",
            "udp::1",
            "unix-datagram",
        ):
            self.assertRaises(ValueError, parse_datagram_target, text)


def test_only_a_dead_socket_is_cleared(tmp_path: Path) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        path = tmp_path / f"socket{kind}"
        clear_dead_socket(str(path))
        with socket.socket(socket.AF_UNIX, kind) as alive:
            alive.bind(str(path))
            with pytest.raises(OSError, match="in use") as caught:
                clear_dead_socket(str(path))
            assert caught.value.errno == errno.EADDRINUSE
            assert path.exists()
        (tmp_path / f"socket{kind}.lock").symlink_to("1")
        clear_dead_socket(str(path))
        assert list(tmp_path.iterdir()) == []
    path.write_text("precious")
    with pytest.raises(OSError, match="not a socket"):
        clear_dead_socket(str(path))
