"""trio: a task for each connection; a peer that resets ends its own only."""

from __future__ import annotations

from contextlib import suppress

import trio

from benchmarks.comparison.servers.program import Punctuality, read_command_line, ready

READ = 65536


async def echo(stream: trio.SocketStream) -> None:
    """Send back what comes."""
    with suppress(trio.BrokenResourceError):
        async with stream:
            while data := await stream.receive_some(READ):
                await stream.send_all(data)


async def lines(stream: trio.SocketStream) -> None:
    """Send back each line by itself."""
    rest = b""
    with suppress(trio.BrokenResourceError):
        async with stream:
            while data := await stream.receive_some(READ):
                *complete, rest = (rest + data).split(b"\r\n")
                for line in complete:
                    await stream.send_all(line + b"\r\n")


async def datagrams(opened: trio.socket.SocketType) -> None:
    """Send back each datagram."""
    while True:
        data, address = await opened.recvfrom(READ)
        await opened.sendto(data, address)


async def keep_timer(punctuality: Punctuality) -> None:
    """A period, and the next."""
    while True:
        await trio.sleep(punctuality.begin())
        punctuality.over()


async def serve(job: str, timer: bool) -> None:
    """Serve until the end of standard input."""
    punctuality = Punctuality()
    async with trio.open_nursery() as nursery:
        if timer:
            nursery.start_soon(keep_timer, punctuality)
        if job == "datagrams":
            opened = trio.socket.socket(type=trio.socket.SOCK_DGRAM)
            await opened.bind(("127.0.0.1", 0))
            nursery.start_soon(datagrams, opened)
        else:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            opened = listener.socket
            nursery.start_soon(trio.serve_listeners, lines if job == "lines" else echo, [listener])
        ready(opened.getsockname()[1], punctuality)


if __name__ == "__main__":
    options = read_command_line(("echo", "lines", "datagrams"))
    trio.run(serve, options.job, options.timer)
