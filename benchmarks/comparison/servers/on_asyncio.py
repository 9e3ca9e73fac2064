"""asyncio's Protocols: on asyncio's own loop, on uvloop's, on rloop's."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import ssl

from benchmarks.comparison.servers.program import Punctuality, read_command_line, ready

LOOPS = ("asyncio", "uvloop", "rloop")


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called when a peer has connected."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Called with octets of the peer."""
        self.transport.write(data)


class Lines(Echo):
    """Sends back each line by itself, as a `LineReceiver` that answers with `sendLine` does."""

    rest = b""

    def data_received(self, data: bytes) -> None:
        """Called with octets of the peer."""
        *lines, self.rest = (self.rest + data).split(b"\r\n")
        for line in lines:
            self.transport.write(line + b"\r\n")


class Datagrams(asyncio.DatagramProtocol):
    """Sends back each datagram."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Called when the socket is open."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Called with a datagram, and where it came from."""
        self.transport.sendto(data, addr)


async def listen(job: str, certificate: str | None) -> int:
    """Do a job; the port."""
    loop = asyncio.get_running_loop()
    if job == "datagrams":
        transport, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
        return int(transport.get_extra_info("sockname")[1])
    context = None
    if job == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate or "")
    server = await loop.create_server(Lines if job == "lines" else Echo, "127.0.0.1", 0, ssl=context)
    return int(server.sockets[0].getsockname()[1])


def keep_timer(punctuality: Punctuality) -> None:
    """Begin a period; when it is over, the next."""
    loop = asyncio.get_running_loop()

    def over() -> None:
        punctuality.over()
        loop.call_later(punctuality.begin(), over)

    loop.call_later(punctuality.begin(), over)


async def serve(options: argparse.Namespace) -> None:
    """Serve until the end of standard input."""
    punctuality = Punctuality()
    port = await listen(options.job, options.certificate)
    if options.timer:
        keep_timer(punctuality)
    ready(port, punctuality)
    await asyncio.Event().wait()


def main() -> None:
    """Serve on the loop that is asked for."""
    options = read_command_line(("echo", "lines", "datagrams", "tls"), LOOPS)
    with asyncio.Runner(loop_factory=importlib.import_module(options.loop).new_event_loop) as runner:
        runner.run(serve(options))


if __name__ == "__main__":
    main()
