"""Twisted: `--loop` is the reactor; `--fast` listens with twistnet's transports on it. No protocol knows of that."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.main import installReactor

from benchmarks.comparison.servers.program import PAGE, Punctuality, read_command_line, ready

LOOPS = ("epoll", "asyncio", "uvloop", "twistnet")


def new_reactor(loop: str) -> Any:
    """A reactor of that kind; on uvloop it is the asyncio reactor."""
    if loop == "epoll":
        from twisted.internet.epollreactor import EPollReactor

        return EPollReactor()
    if loop == "twistnet":
        from twistnet.transport import reactor_factory

        return reactor_factory()
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor

    if loop == "asyncio":
        return AsyncioSelectorReactor()
    import uvloop

    return AsyncioSelectorReactor(uvloop.new_event_loop())


def listen(job: str, reactor: Any, certificate: str | None) -> int:
    """Do a job; the port."""
    from twisted.internet.protocol import DatagramProtocol, Factory
    from twisted.protocols.basic import LineReceiver
    from twisted.protocols.wire import Echo

    class Lines(LineReceiver):
        def lineReceived(self, line: bytes) -> None:
            self.sendLine(line)

    class Datagrams(DatagramProtocol):
        def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
            assert self.transport is not None
            self.transport.write(datagram, addr)

    if job == "datagrams":
        port = reactor.listenUDP(0, Datagrams(), interface="127.0.0.1")
    elif job == "web":
        port = reactor.listenTCP(0, site(), interface="127.0.0.1")
    elif job == "tls":
        context = tls_context(certificate)
        port = reactor.listenSSL(0, Factory.forProtocol(Echo), context, interface="127.0.0.1")
    elif job == "lines":
        port = reactor.listenTCP(0, Factory.forProtocol(Lines), interface="127.0.0.1")
    else:
        port = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
    return int(port.getHost().port)


def site() -> Any:
    """A web site of one page."""
    from twisted.web.server import Site
    from twisted.web.static import Data

    page = Data(PAGE, "text/plain")
    page.putChild(b"", page)
    return Site(page)


def tls_context(certificate: str | None) -> Any:
    """What `listenSSL` asks for, of a PEM file."""
    from pathlib import Path

    from twisted.internet.ssl import PrivateCertificate

    assert certificate is not None, "TLS needs a certificate"
    return PrivateCertificate.loadPEM(Path(certificate).read_bytes()).options()


def keep_timer(reactor: Any, punctuality: Punctuality) -> None:
    """Begin a period; when it is over, the next."""

    def over() -> None:
        punctuality.over()
        reactor.callLater(punctuality.begin(), over)

    reactor.callLater(punctuality.begin(), over)


def main() -> None:
    """Serve until the end of standard input."""
    options = read_command_line(("echo", "lines", "datagrams", "tls", "web"), LOOPS)
    reactor = new_reactor(options.loop)
    installReactor(reactor)
    listener, punctuality = reactor, Punctuality()
    if options.fast:
        from twistnet.transport import fast

        listener = fast(reactor)
        if listener is reactor:
            sys.exit("the fast transports are not there")
    port = listen(options.job, listener, options.certificate)
    if options.timer:
        keep_timer(reactor, punctuality)
    reactor.callWhenRunning(ready, port, punctuality)
    reactor.run()


if __name__ == "__main__":
    main()
