"""Clients that other people wrote: ncat, socat, netcat-openbsd and Python's asyncio."""

from __future__ import annotations

import asyncio
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import PATIENCE, Program, running


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Program]:
    """Upper over tcp, unix, udp and unix datagrams."""
    listen = "--listen tcp:0 --listen unix:s.sock --listen udp:0 --listen unix-datagram:d.sock"
    with running("twistnet-upper", *listen.split(), folder=folder) as program:
        program.addresses(4)
        yield program


def port(node: Program, index: int) -> str:
    """The port of one of its listeners."""
    return node.addresses(4)[index][1].rpartition(":")[2]


def talk(*command: str, folder: Path) -> bytes:
    """What a program prints that is given `hello`."""
    result = subprocess.run(
        command, input=b"hello\n", cwd=folder, capture_output=True, timeout=PATIENCE, check=False
    )
    return result.stdout


def converse(*command: str, folder: Path) -> bytes:
    """The same of a program that ends with its input, and would not wait for the answer, or that would wait for more."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        answer = process.stdout.readline() if ready else b""
        process.terminate()
        return answer


def openbsd_netcat() -> str:
    """The name under which Debian installs netcat-openbsd."""
    return "nc.openbsd" if shutil.which("nc.openbsd") else "nc"


@pytest.mark.needs("ncat")
def test_ncat(node: Program, folder: Path) -> None:
    assert talk("ncat", "127.0.0.1", port(node, 0), folder=folder) == b"HELLO\n"
    assert talk("ncat", "-U", "s.sock", folder=folder) == b"HELLO\n"
    assert converse("ncat", "-u", "127.0.0.1", port(node, 2), folder=folder) == b"HELLO\n"


@pytest.mark.needs("socat")
def test_socat(node: Program, folder: Path) -> None:
    assert talk("socat", "-", f"TCP:127.0.0.1:{port(node, 0)}", folder=folder) == b"HELLO\n"
    assert talk("socat", "-", "UNIX-CONNECT:s.sock", folder=folder) == b"HELLO\n"
    assert converse("socat", "-t1", "-", f"UDP:127.0.0.1:{port(node, 2)}", folder=folder) == b"HELLO\n"
    datagrams = "UNIX-SENDTO:d.sock,bind=client.sock"
    assert converse("socat", "-t1", "-", datagrams, folder=folder) == b"HELLO\n"


@pytest.mark.needs("nc.openbsd")
def test_netcat_openbsd(node: Program, folder: Path) -> None:
    netcat = openbsd_netcat()
    assert talk(netcat, "-N", "127.0.0.1", port(node, 0), folder=folder) == b"HELLO\n"
    assert talk(netcat, "-N", "-U", "s.sock", folder=folder) == b"HELLO\n"
    assert converse(netcat, "-u", "-w1", "127.0.0.1", port(node, 2), folder=folder) == b"HELLO\n"
    assert converse(netcat, "-u", "-U", "-w1", "d.sock", folder=folder) == b"HELLO\n"


class Answers(asyncio.DatagramProtocol):
    """Keeps the datagrams that come."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.queue.put_nowait(data)


def test_asyncio(node: Program, folder: Path) -> None:
    async def stream(opening: object) -> bytes:
        reader, writer = await opening  # type: ignore[misc]
        writer.write(b"hello\n")
        writer.write_eof()
        answer: bytes = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def conversation() -> list[bytes]:
        answers = [
            await stream(asyncio.open_connection("127.0.0.1", int(port(node, 0)))),
            await stream(asyncio.open_unix_connection(str(folder / "s.sock"))),
        ]
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(
            Answers, remote_addr=("127.0.0.1", int(port(node, 2)))
        )
        transport.sendto(b"hello\n")
        answers.append(await protocol.queue.get())
        transport.close()
        return answers

    assert asyncio.run(asyncio.wait_for(conversation(), PATIENCE)) == [b"HELLO\n"] * 3
