"""Every policy, asked for with an option of twistd, on real sockets: what a peer meets, and the line in the log."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.balanced import come_from, name_of
from tests.loaded import under_load
from tests.running import PATIENCE, Program, ask, connect, read_all, running

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="has all of 127/8")

PORTS = {
    "refuse": "--max-connections 1 --overflow refuse",
    "wait": "--max-connections 1",
    "per_source": "--per-source 1",
    "accept_rate": "--accept-rate 0.01 --accept-burst 2",
    "allow": "--allow 127.0.0.1 --allow ::1",
    "deny": "--deny 127.0.0.8/29",
    "idle_timeout": "--idle-timeout 150ms",
    "lifetime": "--lifetime 300ms",
    "rate": "--rate 100KiB --burst 10KiB",
    "high_water_mark": "--high-water-mark 8KiB --low-water-mark 1KiB",
    "write_buffer_limit": "--write-buffer-limit 8KiB",
    "header": "--proxy-protocol v1 --handshake-timeout 150ms",
    "dry_run": "--max-connections 1 --overflow refuse --per-source 1 --deny 127.0.0.9 --lifetime 50ms --dry-run",
    "options": "--no-delay --keepalive",
    "none": "",
}
"""The options of one port each, all of them in one process."""


def service(port: str) -> str:
    """What the node calls the service of a port."""
    number = list(PORTS).index(port)
    return f"echo-{number + 1}" if number else "echo"


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Program]:
    """An echo for each policy."""
    words = [word for text in PORTS.values() for word in f"--service echo --listen tcp:0 {text}".split()]
    with running("twistnet", *words, folder=folder) as program:
        program.addresses(len(PORTS))
        yield program


def address(node: Program, port: str) -> str:
    """Where a port is."""
    return node.addresses(len(PORTS))[list(PORTS).index(port)][1]


def line(node: Program, port: str, pattern: str) -> None:
    """Wait for a line about a port."""
    node.wait_for(rf"\[twistnet#info\] {service(port)}: {pattern}")


def is_turned_away(client: socket.socket) -> bool:
    """Whether a client is cut off before it is served."""
    with client:
        try:
            return ask(client, b"x") == b""
        except ConnectionError:
            return True


def test_max_connections_refuses(node: Program) -> None:
    where = address(node, "refuse")
    with connect(where) as first:
        assert ask(first, b"x") == b"x"
        assert is_turned_away(come_from("127.0.0.1", where))
        line(node, "refuse", r"refused 127\.0\.0\.1:\d+: 1 connections are open \(max_connections\)$")
        first.shutdown(socket.SHUT_WR)
        assert read_all(first) == b""
    with connect(where) as next_one:
        assert ask(next_one, b"x") == b"x"


def test_max_connections_lets_wait(node: Program) -> None:
    where = address(node, "wait")
    with connect(where) as first, connect(where) as second, connect(where) as third:
        assert ask(first, b"x") == b"x"
        for waiting in (second, third):
            waiting.sendall(b"patient")
            waiting.settimeout(0.1)
            with pytest.raises(TimeoutError):
                waiting.recv(7)
            waiting.settimeout(PATIENCE)
        first.close()
        assert second.recv(7) == b"patient"
        second.close()
        assert third.recv(7) == b"patient"


def test_per_source_counts_the_connections_of_an_address(node: Program) -> None:
    where = address(node, "per_source")
    with come_from("127.0.0.2", where) as one, come_from("127.0.0.3", where) as other:
        assert ask(one, b"x") == ask(other, b"x") == b"x"
        assert is_turned_away(come_from("127.0.0.2", where))
        line(
            node,
            "per_source",
            r"refused 127\.0\.0\.2:\d+: 1 connections of 127\.0\.0\.2 are open \(per_source\)$",
        )


def test_accept_rate_counts_how_often_an_address_connects(node: Program) -> None:
    where = address(node, "accept_rate")
    for _ in range(2):
        assert not is_turned_away(come_from("127.0.0.2", where))
    assert is_turned_away(come_from("127.0.0.2", where))
    assert not is_turned_away(come_from("127.0.0.3", where))
    line(node, "accept_rate", r"refused 127\.0\.0\.2:\d+: .* more than 0\.01 times a second \(accept_rate\)$")


def test_allow_and_deny_know_networks(node: Program) -> None:
    assert not is_turned_away(come_from("127.0.0.1", address(node, "allow")))
    assert is_turned_away(come_from("127.0.0.2", address(node, "allow")))
    line(node, "allow", r"refused 127\.0\.0\.2:\d+: .* \(allow\)$")
    assert not is_turned_away(come_from("127.0.0.7", address(node, "deny")))
    assert is_turned_away(come_from("127.0.0.15", address(node, "deny")))
    line(node, "deny", r"refused 127\.0\.0\.15:\d+: .* \(deny\)$")


def test_idle_timeout_ends_silence_and_nothing_else(node: Program) -> None:
    started = time.monotonic()
    with connect(address(node, "idle_timeout")) as talking:
        for _ in range(8):
            assert ask(talking, b"x") == b"x"
            node.watch(0.05)
        assert time.monotonic() - started > 0.3, "longer than it may be silent"
        assert read_all(talking) == b""
    line(node, "idle_timeout", r"closed 127\.0\.0\.1:\d+: silent for 0\.15 s \(idle_timeout\)$")


def test_lifetime_ends_talk_too(node: Program) -> None:
    started = time.monotonic()
    with connect(address(node, "lifetime")) as talking:
        turns = 0
        while time.monotonic() - started < PATIENCE and ask_or_end(talking):
            turns += 1
            node.watch(0.05)
        assert turns > 1
        assert time.monotonic() - started >= 0.3
    line(node, "lifetime", r"closed 127\.0\.0\.1:\d+: open for 0\.3 s \(lifetime\)$")


def ask_or_end(client: socket.socket) -> bool:
    """Whether a client is still served."""
    try:
        return ask(client, b"x") == b"x"
    except ConnectionError:
        return False


def test_a_proxy_header_has_its_time(node: Program) -> None:
    with connect(address(node, "header")) as slow:
        slow.sendall(b"PROXY TCP4 192.0.2.1")
        with pytest.raises(ConnectionResetError):
            slow.recv(1)
        peer = name_of(slow)
    line(node, "header", rf"aborted {peer}: the handshake is not done \(handshake_timeout\)$")
    with connect(address(node, "header")) as prompt:
        prompt.sendall(b"PROXY UNKNOWN\r\nhello")
        assert prompt.recv(5) == b"hello"
        node.watch(0.2)
        assert ask(prompt, b"still") == b"still"


def test_tls_has_its_time(tmp_path: Path) -> None:
    pytest.importorskip("OpenSSL", reason="needs twistnet[tls]")
    from tests.simulation.other_code.certificates import pem

    (tmp_path / "localhost.pem").write_bytes(pem("localhost"))
    command = f"twistnet-echo --listen tls:{tmp_path}:0 --handshake-timeout 100ms"
    with running(*command.split(), folder=tmp_path) as program:
        with connect(program.addresses(1)[0][1]) as silent, pytest.raises(ConnectionResetError):
            read_all(silent)
        program.wait_for(r"echo: closed 127\.0\.0\.1:\d+: the handshake is not done \(handshake_timeout\)$")


def test_rate_makes_peers_slow_and_loses_nothing(node: Program) -> None:
    message = os.urandom(50 * 1024)
    with connect(address(node, "rate")) as client:
        started = time.monotonic()
        assert ask(client, message) == message
        assert time.monotonic() - started >= 0.4, "40 KiB after the burst"
    line(node, "rate", r"reading paused 127\.0\.0\.1:\d+: more than 102400 octets a second \(rate\)$")


def send_until_stuck(client: socket.socket) -> int:
    """Send until nothing more is taken."""
    client.settimeout(0.2)
    sent = 0
    try:
        for _ in range(1_000):
            sent += client.send(bytes(65536))
    except TimeoutError:
        return sent
    raise AssertionError("everything is taken from a peer that reads nothing")


def test_high_water_mark_stops_reading_and_goes_on_again(node: Program) -> None:
    with connect(address(node, "high_water_mark")) as client:
        sent = send_until_stuck(client)
        line(node, "high_water_mark", r"reading paused 127\.0\.0\.1:\d+: .* \(high_water_mark\)$")
        client.settimeout(PATIENCE)
        client.shutdown(socket.SHUT_WR)
        assert len(read_all(client)) == sent


def test_write_buffer_limit_ends_who_does_not_read(node: Program) -> None:
    with connect(address(node, "write_buffer_limit")) as client, pytest.raises(ConnectionError):
        send_until_stuck(client)
    line(
        node, "write_buffer_limit", r"aborted 127\.0\.0\.1:\d+: \d+ octets are unread \(write_buffer_limit\)$"
    )


def test_a_dry_run_says_what_it_would_do_and_does_nothing(node: Program) -> None:
    where = address(node, "dry_run")
    with ExitStack() as stack:
        clients = [
            stack.enter_context(come_from(source, where))
            for source in ("127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.9")
        ]
        for client in clients:
            assert ask(client, b"x") == b"x"
        line(node, "dry_run", r"dry run: refused 127\.0\.0\.1:\d+: .* \(per_source\)$")
        line(node, "dry_run", r"dry run: refused 127\.0\.0\.2:\d+: .* \(max_connections\)$")
        line(node, "dry_run", r"dry run: refused 127\.0\.0\.9:\d+: .* \(deny\)$")
        line(node, "dry_run", r"dry run: closed 127\.0\.0\.1:\d+: open for 0\.05 s \(lifetime\)$")
        for client in clients:
            assert ask(client, b"still") == b"still"


def options_of(program: Program, client: socket.socket) -> tuple[int, int]:
    """TCP_NODELAY and SO_KEEPALIVE of the other end of a connection, within another process (pidfd_getfd(2))."""
    process = os.pidfd_open(program.process.pid)
    try:
        for path in Path(f"/proc/{program.process.pid}/fd").iterdir():
            copied = ctypes.CDLL(None, use_errno=True).syscall(438, process, int(path.name), 0)
            if copied < 0:
                pytest.skip(f"may not look into another process: {os.strerror(ctypes.get_errno())}")
            if not str(Path(f"/proc/self/fd/{copied}").readlink()).startswith("socket:"):
                os.close(copied)
                continue
            with socket.socket(fileno=copied) as theirs:
                if is_other_end(theirs, client):
                    return (
                        theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                        theirs.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    )
    finally:
        os.close(process)
    raise AssertionError("the process has no such connection")


def is_other_end(theirs: socket.socket, ours: socket.socket) -> bool:
    """Whether two sockets are the ends of one connection."""
    try:
        return bool(theirs.getpeername() == ours.getsockname())
    except OSError:
        return False


@pytest.mark.parametrize(("port", "options"), [("options", (1, 1)), ("none", (0, 0))])
def test_no_delay_and_keepalive_are_set_on_the_socket(
    node: Program, port: str, options: tuple[int, int]
) -> None:
    with connect(address(node, port)) as client:
        assert ask(client, b"x") == b"x"
        assert options_of(node, client) == options


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_two_processes_share_a_port_and_one_goes_on_alone(tmp_path: Path, kind: str) -> None:
    """The kernel chooses one of them by the client's port."""
    text = "tcp:{}"
    if kind == "tls":
        pytest.importorskip("OpenSSL", reason="needs twistnet[tls]")
        from tests.simulation.other_code.certificates import pem

        (tmp_path / "localhost.pem").write_bytes(pem("localhost"))
        text = f"tls:{tmp_path}:{{}}"
    command = ["twistnet-echo", "--access-log", "--reuse-port", "--listen"]
    with running(*command, text.format(0), folder=tmp_path) as first:
        where = first.addresses(1)[0][1]
        with running(*command, text.format(where.rpartition(":")[2]), folder=tmp_path) as second:
            second.addresses(1)
            for _ in range(40):
                connect(where).close()
            first.wait_for("opened")
            second.wait_for("opened")
            assert first.end(signal.SIGTERM) == -15
            before = len(re.findall("opened", second.output))
            for _ in range(5):
                connect(where).close()
            second.wait_for("opened", before + 5)


def test_a_shared_port_is_handed_over_under_load_and_nothing_is_lost(tmp_path: Path) -> None:
    """The new process starts beside the old one, which is then stopped."""
    command = ["twistnet-echo", "--access-log", "--reuse-port", "--graceful-timeout", "15s", "--listen"]
    with ExitStack() as stack:
        old = stack.enter_context(running(*command, "tcp:0", folder=tmp_path))
        where = old.addresses(1)[0][1]
        later = stack.enter_context(ExitStack())
        load = stack.enter_context(under_load(where))
        new = later.enter_context(running(*command, f"tcp:{where.rpartition(':')[2]}", folder=tmp_path))
        new.wait_for("opened", 20)
        assert old.end(signal.SIGTERM) == -15
        load.goes_on()
    assert load.lost == []
