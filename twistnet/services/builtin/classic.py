"""The classic service: discard, chargen, daytime, time, quote of the day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from ...config import FLAG, choice, setting
from ...endpoints.datagram import says_datagrams
from ...errors import ConfigurationError
from ...protocols import classic
from ...wire.classic import QUOTE_MOST, quotes_of
from ..definition import ServiceDefinition
from .texts import file_setting, read_text

__all__ = ["CLASSIC", "ClassicOptions"]

_log = Logger("twistnet")

_AMPLIFYING = {"chargen", "qotd"}
"""What answers a datagram with a longer one, and so makes a weapon against whoever is forged as its sender."""


@frozen(kw_only=True, slots=False)
class ClassicOptions:
    """Options of the classic service."""

    protocol: str = setting(
        "daytime", choice("discard", "chargen", "daytime", "time", "qotd"), "which of the services"
    )
    file: str | None = file_setting()
    amplification: bool = setting(False, FLAG, "answer datagrams with chargen or qotd, whatever that may do")

    def __attrs_post_init__(self) -> None:
        if (self.protocol == "qotd") != (self.file is not None):
            problem = "qotd needs a file of quotes" if self.file is None else "means nothing without qotd"
            raise ConfigurationError(problem, ("file",))
        if self.protocol in _AMPLIFYING and not self.amplification:
            self._refuse_datagrams(
                getattr(self, "listen", ())
            )  # the service's settings have it, which inherit this

    def _refuse_datagrams(self, listen: Sequence[str]) -> None:
        for index, text in enumerate(listen):
            if says_datagrams(text):
                problem = f"{text!r}: {self.protocol} answers datagrams with longer ones; ask for amplification if need be"
                raise ConfigurationError(problem, (f"listen[{index}]",))

    @cached_property
    def quotes(self) -> Sequence[bytes]:
        """The quotes of the file, read once.

        Raises:
            ConfigurationError: There are none that are short enough, or the file cannot be read.
        """
        assert self.file is not None
        quotes, left_out = quotes_of(read_text(self.file))
        if not quotes:
            raise ConfigurationError(f"{self.file!r} has no quote of up to {QUOTE_MOST} octets", ("file",))
        if left_out:
            _log.info(
                "left out of {file}: {count} with more than {octets} octets",
                file=self.file, count=left_out, octets=QUOTE_MOST,
            )  # fmt: skip
        return quotes


_STREAMS: Mapping[str, Callable[[ClassicOptions, IReactorTime], IProtocolFactory]] = {
    "discard": lambda options, clock: classic.DiscardFactory(),
    "chargen": lambda options, clock: classic.ChargenFactory(clock),
    "daytime": lambda options, clock: classic.DaytimeFactory(clock),
    "time": lambda options, clock: classic.TimeFactory(clock),
    "qotd": lambda options, clock: classic.QuoteFactory(options.quotes, clock),
}

_DATAGRAMS: Mapping[str, Callable[[ClassicOptions, IReactorTime], DatagramProtocol]] = {
    "discard": lambda options, clock: classic.DiscardDatagramProtocol(),
    "chargen": lambda options, clock: classic.ChargenDatagramProtocol(),
    "daytime": lambda options, clock: classic.DaytimeDatagramProtocol(clock),
    "time": lambda options, clock: classic.TimeDatagramProtocol(clock),
    "qotd": lambda options, clock: classic.QuoteDatagramProtocol(options.quotes),
}

CLASSIC = ServiceDefinition(
    name="classic",
    description="Discard, chargen, daytime, time or quote of the day, over streams and datagrams.",
    listen=("tcp:7011",),
    options=ClassicOptions,
    stream=lambda options, clock: _STREAMS[options.protocol](options, clock),
    datagram=lambda options, clock: _DATAGRAMS[options.protocol](options, clock),
    detail=lambda options: str(options.protocol),
)
