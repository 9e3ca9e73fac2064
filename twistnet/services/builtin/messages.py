"""The messages service: JSON, framed, a reply to each request."""

from __future__ import annotations

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock

from ...config import COUNT, TIMEOUT, Kind, choice, setting
from ...protocols.messages import IN_FLIGHT, MessageDatagramProtocol, MessageFactory
from ...units import parse_size, parse_whole
from ...wire.messages import DEEPEST, FRAMINGS, MAX_DEPTH, MAX_MESSAGE, SHORTEST
from ..definition import ServiceDefinition
from .message_handlers import HANDLER_NAME, find_handler

__all__ = ["MESSAGES", "MessagesOptions"]

_LARGEST = 1 << 30


def _parse_max_message(value: object) -> int:
    return parse_whole(parse_size(value), SHORTEST, _LARGEST)


@frozen(kw_only=True, slots=False)
class MessagesOptions:
    """Options of the messages service."""

    handler: str = setting("echo", HANDLER_NAME, "what makes the value of a reply of that of a request")
    framing: str = setting("lines", choice(*FRAMINGS), "how messages are told apart in a stream")
    max_message: int = setting(MAX_MESSAGE, Kind(_parse_max_message, "SIZE"), "octets of the longest message")
    max_depth: int = setting(
        MAX_DEPTH,
        Kind(lambda value: parse_whole(value, 1, DEEPEST), "NUMBER"),
        f"lists and objects within one another; at most {DEEPEST}",
    )
    in_flight: int = setting(IN_FLIGHT, COUNT, "requests of one connection that are under way at once")
    request_timeout: float | None = setting(None, TIMEOUT, "how long the handler may take")

    def __attrs_post_init__(self) -> None:
        find_handler(self.handler, Clock())


def _stream(options: MessagesOptions, clock: IReactorTime) -> IProtocolFactory:
    return MessageFactory(
        find_handler(options.handler, clock),
        options.framing,
        clock,
        max_message=options.max_message,
        max_depth=options.max_depth,
        in_flight=options.in_flight,
        timeout=options.request_timeout,
    )


def _datagram(options: MessagesOptions, clock: IReactorTime) -> DatagramProtocol:
    return MessageDatagramProtocol(
        find_handler(options.handler, clock),
        clock,
        max_message=options.max_message,
        max_depth=options.max_depth,
        in_flight=options.in_flight,
        timeout=options.request_timeout,
    )


MESSAGES = ServiceDefinition(
    name="messages",
    description="Answer requests in JSON, over streams and datagrams.",
    listen=("tcp:7013",),
    options=MessagesOptions,
    stream=_stream,
    datagram=_datagram,
    detail=lambda options: f"{options.handler}, {options.framing}",
)
