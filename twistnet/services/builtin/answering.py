"""The services that answer with what they are sent: echo, upper, datagram."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from twisted.internet.protocol import DatagramProtocol

from ...config import FLAG, Kind, choice, setting
from ...errors import ConfigurationError
from ...protocols.echo import EchoDatagramProtocol, EchoFactory
from ...protocols.upper import UpperDatagramProtocol, UpperFactory
from ...wire.transforms import ERRORS, UpperText, text_encoding
from ..definition import ServiceDefinition

__all__ = ["DATAGRAM", "ECHO", "UPPER", "DatagramOptions", "EchoOptions", "UpperOptions"]

_ONCE = "answer what comes first on a connection, then close it"


@frozen(kw_only=True, slots=False)
class EchoOptions:
    """Options of the echo service."""

    once: bool = setting(False, FLAG, _ONCE)


@frozen(kw_only=True, slots=False)
class UpperOptions:
    """Options of the upper service."""

    once: bool = setting(False, FLAG, _ONCE)
    encoding: str | None = setting(
        None,
        Kind(text_encoding, "NAME"),
        "upper-case text in this encoding, not ASCII bytes",
    )
    errors: str = setting("strict", choice(*ERRORS), "what to do with input that is not in the encoding")

    def __attrs_post_init__(self) -> None:
        if self.encoding is None:
            if self.errors != "strict":
                raise ConfigurationError(f"{self.errors!r} needs an encoding", ("errors",))
            return
        try:
            UpperText(self.encoding, self.errors)
        except ValueError as error:
            raise ConfigurationError(str(error), ("errors",)) from None


@frozen(kw_only=True, slots=False)
class DatagramOptions:
    """Options of the datagram service."""

    transform: str = setting("upper", choice("echo", "upper"), "what to answer with")


def _echo(options: EchoOptions, clock: IReactorTime) -> IProtocolFactory:
    return EchoFactory(once=options.once, clock=clock)


def _upper(options: UpperOptions, clock: IReactorTime) -> IProtocolFactory:
    return UpperFactory(options.encoding, options.errors, once=options.once, clock=clock)


def _datagram(options: DatagramOptions) -> DatagramProtocol:
    return EchoDatagramProtocol() if options.transform == "echo" else UpperDatagramProtocol()


def _brackets(options: Any) -> str:
    words = [getattr(options, "encoding", None), "once" if options.once else None]
    return ", ".join(word for word in words if word)


ECHO = ServiceDefinition(
    name="echo",
    description="Send back what comes, over streams and datagrams.",
    listen=("tcp:7007",),
    options=EchoOptions,
    stream=_echo,
    datagram=lambda options, clock: EchoDatagramProtocol(),
    detail=_brackets,
)

UPPER = ServiceDefinition(
    name="upper",
    description="Send back what comes in upper case, over streams and datagrams.",
    listen=("tcp:7008",),
    options=UpperOptions,
    stream=_upper,
    datagram=lambda options, clock: UpperDatagramProtocol(options.encoding, options.errors),
    detail=_brackets,
)

DATAGRAM = ServiceDefinition(
    name="datagram",
    description="Answer datagrams, over UDP and UNIX sockets.",
    listen=("udp:7009",),
    options=DatagramOptions,
    datagram=lambda options, clock: _datagram(options),
    detail=lambda options: str(options.transform),
)
