"""Sockets that were opened elsewhere: one of the wrong kind is refused before anything listens on it."""

from __future__ import annotations

import socket
import tempfile

import pytest
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, _SystemdParser
from twisted.internet.testing import MemoryReactorClock

from twistnet import (
    ConfigurationError,
    ListeningService,
    SystemdDatagramServerEndpoint,
    datagram_server_from_string,
)
from twistnet.endpoints.inherited import check_adopted, check_kind
from twistnet.endpoints.inside import server_inside
from twistnet.protocols.echo import EchoDatagramProtocol, EchoFactory


class Passed:
    """What systemd has passed: one socket, of the name `echo`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def inheritedNamedDescriptors(self) -> dict[str, int]:
        return {"echo": self._descriptor}


def listening(text: str) -> ListeningService:
    """An echo service, for streams and datagrams."""
    reactor = MemoryReactorClock()
    return ListeningService(reactor, "echo", [text], stream=EchoFactory(), datagram=EchoDatagramProtocol)


@pytest.mark.parametrize(
    ("kind", "prefixes", "problem"),
    [
        (socket.SOCK_DGRAM, ("systemd", "fast:systemd", "guarded:systemd"), "is for datagrams"),
        (socket.SOCK_STREAM, ("systemd-datagram", "fast:systemd-datagram"), "is for streams"),
    ],
)
def test_one_of_the_wrong_kind(
    kind: socket.SocketKind, prefixes: tuple[str, ...], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_INET, kind) as passed:
        monkeypatch.setattr(_SystemdParser, "_sddaemon", Passed(passed.fileno()))
        for prefix in prefixes:
            with pytest.raises(ConfigurationError, match=f"the socket that systemd passed {problem}"):
                listening(f"{prefix}:domain=INET:name=echo")
        assert passed.fileno() != -1


def test_those_of_the_right_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        monkeypatch.setattr(_SystemdParser, "_sddaemon", Passed(stream.fileno()))
        listening("systemd:domain=INET:name=echo")
        assert server_inside(MemoryReactorClock(), "systemd:domain=INET:name=echo")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        monkeypatch.setattr(_SystemdParser, "_sddaemon", Passed(datagrams.fileno()))
        text = "systemd-datagram:domain=INET:name=echo"
        endpoint = datagram_server_from_string(MemoryReactorClock(), text)
        assert isinstance(endpoint, SystemdDatagramServerEndpoint)


def test_what_is_no_socket() -> None:
    with tempfile.TemporaryFile() as file, pytest.raises(ValueError, match="no socket"):
        check_kind(file.fileno(), socket.SOCK_STREAM)


def test_any_other_endpoint_is_fine() -> None:
    check_adopted(object())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed:
        endpoint = AdoptedStreamServerEndpoint(MemoryReactorClock(), passed.fileno(), socket.AF_INET)
        with pytest.raises(ValueError, match="datagrams"):
            check_adopted(endpoint)
