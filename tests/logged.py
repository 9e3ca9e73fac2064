"""Cases that look at what was logged."""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

__all__ = ["Lines", "LoggedCase"]


@implementer(ILogObserver)
class Lines:
    """Keeps the lines of one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_namespace") == self.namespace:
            self.lines.append(event["log_format"].format(**event))


class LoggedCase(SynchronousTestCase):
    """A case with the lines that were logged in a namespace while it ran."""

    namespace = "twistnet"

    def setUp(self) -> None:
        observer = Lines(self.namespace)
        self.lines = observer.lines
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
