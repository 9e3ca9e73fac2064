"""The greeting service: it speaks first."""

from __future__ import annotations

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory, IReactorTime

from ...config import FLAG, TEXT, setting
from ...errors import ConfigurationError
from ...protocols.greeting import GreetingFactory
from ..definition import ServiceDefinition
from .texts import file_setting, read_text

__all__ = ["GREETING", "GreetingOptions"]


@frozen(kw_only=True, slots=False)
class GreetingOptions:
    """Options of the greeting service."""

    text: str | None = setting(None, TEXT, "say this; {peer}, {host}, {time} and {count} are replaced")
    file: str | None = file_setting()
    stay: bool = setting(False, FLAG, "keep the connection open until the peer finishes")

    def __attrs_post_init__(self) -> None:
        if (self.text is None) == (self.file is None):
            neither = "there is nothing to say; give it as text, or as a file"
            raise ConfigurationError(neither if self.text is None else "goes not with file", ("text",))
        try:
            (self.text or "").encode()
        except UnicodeEncodeError:
            raise ConfigurationError(f"{self.text!r} is not UTF-8", ("text",)) from None


def _greeting(options: GreetingOptions, clock: IReactorTime) -> IProtocolFactory:
    text = read_text(options.file) if options.file is not None else options.text or ""
    return GreetingFactory(text, clock, stay=options.stay)


GREETING = ServiceDefinition(
    name="greeting",
    description="Say something to whoever connects, then close, or stay.",
    listen=("tcp:7010",),
    options=GreetingOptions,
    stream=_greeting,
    detail=lambda options: "stay" if options.stay else "",
)
