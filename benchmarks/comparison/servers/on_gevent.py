"""gevent: a greenlet for each connection."""

from __future__ import annotations

import gevent
from gevent import socket
from gevent.server import DatagramServer, StreamServer

from benchmarks.comparison.servers.program import Punctuality, read_command_line, ready

READ = 65536


def echo(stream: socket.socket, _: object) -> None:
    """Send back what comes."""
    while data := stream.recv(READ):
        stream.sendall(data)


def lines(stream: socket.socket, _: object) -> None:
    """Send back each line by itself."""
    rest = b""
    while data := stream.recv(READ):
        *complete, rest = (rest + data).split(b"\r\n")
        for line in complete:
            stream.sendall(line + b"\r\n")


def datagrams(address: tuple[str, int]) -> DatagramServer:
    """Sends back each datagram, in the loop's own greenlet: that is gevent's quickest way."""

    def handle(data: bytes, peer: tuple[str, int]) -> None:
        server.sendto(data, peer)

    server = DatagramServer(address, handle, spawn=None)
    return server


def keep_timer(punctuality: Punctuality) -> None:
    """A period, and the next."""
    while True:
        gevent.sleep(punctuality.begin())
        punctuality.over()


def main() -> None:
    """Serve until the end of standard input."""
    options = read_command_line(("echo", "lines", "datagrams"))
    punctuality = Punctuality()
    address = ("127.0.0.1", 0)
    if options.job == "datagrams":
        server = datagrams(address)
    else:
        server = StreamServer(address, lines if options.job == "lines" else echo)
    server.start()
    if options.timer:
        gevent.spawn(keep_timer, punctuality)
    ready(server.server_port, punctuality)
    server.serve_forever()


if __name__ == "__main__":
    main()
