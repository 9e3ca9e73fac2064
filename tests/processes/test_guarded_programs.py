"""`guarded:` in front of a program that nobody here wrote: Twisted's own web server."""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.running import BIN, PATIENCE, Program, connect, finished, read_all, running

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="has 127/8, and memory in /proc")

KIB, MIB = 2**10, 2**20
CROWD = 200
PAGE = b"served, and whole"
GENERATOR = """
from twisted.web.resource import Resource

class Flood(Resource):
    def render_GET(self, request):
        return b"x" * 2_000_000

resource = Flood()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page, a big file, and a page that is written without asking whether anybody reads it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "page").write_bytes(PAGE)
    (folder / "flood.rpy").write_text(GENERATOR)
    with (folder / "big").open("wb") as big:
        big.truncate(64 * MIB)
    return folder


@contextmanager
def serving(site: Path, description: str, folder: Path) -> Iterator[tuple[Program, str]]:
    """`twist web` on an endpoint, and its address."""
    command = ["web", "--listen", description, "--path", str(site)]
    with running(*command, folder=folder, program="twist") as web:
        (line,) = web.wait_for(r"starting on (\d+|b?')")
        port = re.findall(r"starting on (\d+)", line)
        yield web, f"127.0.0.1:{port[0]}" if port else ""


def said(web: Program, policy: str) -> str:
    """The line of its log about a policy, as a person would read it."""
    (line,) = web.wait_for(f'"policy": "{policy}"')
    return flat(json.loads(line.strip("\x1e")))


def flat(record: dict[str, object]) -> str:
    """One record, formatted."""
    known = {key.rstrip("!:"): value for key, value in record["log_flattened"].items()}  # type: ignore[attr-defined]
    return re.sub(r"\{(\w+)[^}]*\}", lambda match: str(known.get(match[1])), str(record["log_format"]))


def come_from(source: str, address: str) -> socket.socket:
    """A client that takes in little before it is read, from an address of its choice."""
    host, port = address.split(":")
    client = socket.socket()
    client.settimeout(PATIENCE)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.bind((source, 0))
    with suppress(ConnectionResetError):  # turned away already: whoever uses it will see
        client.connect((host, int(port)))
    return client


def get(client: socket.socket, path: str = "page") -> bytes:
    """What the server answers to one request."""
    with client:
        try:
            client.sendall(b"GET /%b HTTP/1.0\r\n\r\n" % path.encode())
            return read_all(client)
        except ConnectionError:
            return b""


def is_served(client: socket.socket) -> bool:
    """Whether a client gets the page."""
    return get(client).endswith(PAGE)


@contextmanager
def crowd(address: str, source: str = "127.0.0.9") -> Iterator[list[socket.socket]]:
    """Two hundred peers, connected, who will not read."""
    with ExitStack() as stack:
        yield [stack.enter_context(come_from(source, address)) for _ in range(CROWD)]


def dribble(peers: list[socket.socket], octet: bytes) -> None:
    """Each sends an octet, if the server still listens to it."""
    for peer in peers:
        with suppress(ConnectionError):
            peer.send(octet)


def ask_for_much(web: Program, address: str, peers: list[socket.socket], *, guarded: bool) -> int:
    """Every peer asks for more than it reads, and others are served meanwhile; the most memory that was occupied."""
    largest = web.memory()
    for count, peer in enumerate(peers):
        flood = count % 2
        dribble([peer], b" /%b HTTP/1.0\r\n\r\n" % (b"flood.rpy" if flood else b"big"))
        if flood and guarded:
            assert is_aborted(peer)
        if count % 20 == 0:
            assert is_served(connect(address))
            largest = max(largest, web.memory())
    assert is_served(connect(address))
    return max(largest, web.memory())


def is_aborted(peer: socket.socket) -> bool:
    """Whether a peer's connection ends, without its reading anything."""
    waiting = select.poll()
    waiting.register(peer, select.POLLERR)
    return bool(waiting.poll(PATIENCE * 1000))


def test_slow_peers_do_not_keep_another_from_being_served(site: Path, tmp_path: Path) -> None:
    """They send an octet now and then; then they ask for files, and read none."""
    limit = 256 * KIB
    settings = f"backlog=300:max_connections=250:write_buffer_limit={limit}"
    with serving(site, f"guarded:tcp:0:interface=127.0.0.1:{settings}", tmp_path) as (web, address):
        assert is_served(connect(address))
        idle = web.memory()
        with crowd(address) as peers:
            for octet in b"GET":
                dribble(peers, bytes([octet]))
                assert is_served(connect(address))
                web.watch(0.4)
            assert ask_for_much(web, address, peers, guarded=True) - idle < 250 * limit
        line = said(web, "write_buffer_limit")
        assert re.search(r": aborted 127\.0\.0\.9:\d+: \d+ octets are unread \(write_buffer_limit\)", line)


def test_the_same_peers_take_all_the_memory_of_a_server_that_is_not_guarded(
    site: Path, tmp_path: Path
) -> None:
    with serving(site, "tcp:0:interface=127.0.0.1:backlog=300", tmp_path) as (web, address):
        assert is_served(connect(address))
        idle = web.memory()
        with crowd(address) as peers:
            dribble(peers, b"GET")
            assert ask_for_much(web, address, peers, guarded=False) - idle > 250 * 256 * KIB


def test_slots_that_slow_peers_have_taken_come_free_again(site: Path, tmp_path: Path) -> None:
    """Fewer slots than slow peers: the others wait in the backlog, and one more is served when its turn comes."""
    settings = "backlog=300:max_connections=40:overflow=wait:lifetime=100ms"
    with serving(site, f"guarded:tcp:0:interface=127.0.0.1:{settings}", tmp_path) as (web, address):
        with crowd(address) as peers:
            dribble(peers, b"G")
            assert is_served(connect(address))
        line = said(web, "lifetime")
        assert re.search(r": closed 127\.0\.0\.9:\d+: open for 0\.1 s \(lifetime\)", line)


@pytest.mark.parametrize(
    ("settings", "policy"), [("per_source=5", "per_source"), ("deny=192.0.2.0/24,127.0.0.9", "deny")]
)
def test_a_crowd_from_one_address_is_turned_away(
    site: Path, tmp_path: Path, settings: str, policy: str
) -> None:
    """Only another that comes from there may be turned away with it."""
    text = f"guarded:tcp:0:interface=127.0.0.1:backlog=300:max_connections=40:{settings}"
    with serving(site, text, tmp_path) as (web, address), crowd(address):
        assert is_served(come_from("127.0.0.10", address))
        assert not is_served(come_from("127.0.0.9", address))
        line = said(web, policy)
        assert "guarded:tcp:0:interface=127.0.0.1:backlog=300: refused 127.0.0.9:" in line


ONE = "max_connections=1:overflow=refuse"


def admits_one(web: Program, *clients: socket.socket) -> bool:
    """Whether the second of two clients is turned away."""
    first, second = clients
    first.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
    assert first.recv(65536).startswith(b"HTTP/1.1 200 OK")
    refused = not is_served(second)
    first.close()
    return refused and "1 connections are open (max_connections)" in said(web, "max_connections")


@pytest.mark.parametrize("before", ["guarded:tcp:0", "guarded:guarded:tcp:0"])
def test_wraps_tcp(site: Path, tmp_path: Path, before: str) -> None:
    with serving(site, f"{before}:interface=127.0.0.1:{ONE}", tmp_path) as (web, address):
        assert admits_one(web, connect(address), come_from("127.0.0.1", address))


def test_wraps_unix(site: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "web.sock")
    with serving(site, f"guarded:unix:{path}:{ONE}", tmp_path) as (web, _):
        assert admits_one(web, connect(path), connect(path))


def test_wraps_tls(site: Path, tmp_path: Path) -> None:
    pytest.importorskip("OpenSSL", reason="needs twistnet[tls]")
    from tests.simulation.other_code.certificates import authority_pem, pem

    (tmp_path / "localhost.pem").write_bytes(pem("localhost"))
    context = ssl.create_default_context(cadata=authority_pem().decode())
    text = f"guarded:tls:{tmp_path}:0:interface=127.0.0.1:handshake_timeout=150ms:{ONE}"
    with serving(site, text, tmp_path) as (web, address):
        with connect(address) as silent, pytest.raises(ConnectionResetError):
            read_all(silent)
        client = context.wrap_socket(connect(address), server_hostname="localhost")
        assert admits_one(web, client, come_from("127.0.0.1", address))
        assert "the handshake is not done" in said(web, "handshake_timeout")


@pytest.mark.parametrize("text", ["guarded:haproxy:tcp:0", "guarded:tcp:0:proxy_protocol=auto"])
def test_wraps_haproxy_and_stands_for_it(site: Path, tmp_path: Path, text: str) -> None:
    """Twisted's own and the policy: the web server behind either is told of the client."""
    with serving(site, f"{text}:interface=127.0.0.1:{ONE}", tmp_path) as (web, address):
        first, second = connect(address), come_from("127.0.0.1", address)
        first.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 80\r\n")
        assert admits_one(web, first, second)
        web.wait_for("192.0.2.7")


PASSED_ON = """
import os, sys
passed, *command = sys.argv[1:]
os.dup2(int(passed), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(command[0], command)
"""
"""Starts a program as systemd does: with a socket as its third descriptor, and told so by its environment."""


def test_wraps_a_socket_of_systemd(site: Path, tmp_path: Path) -> None:
    text = f"guarded:systemd:domain=INET:index=0:{ONE}"
    with socket.create_server(("127.0.0.1", 0)) as listening, (tmp_path / "errors").open("w") as errors:
        passed = listening.fileno()
        started = subprocess.Popen(
            [sys.executable, "-c", PASSED_ON, str(passed), BIN / "twist", "web", "--path", site, "--listen", text],
            pass_fds=[passed], stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
        assert started.stdout is not None
        web = Program(started, started.stdout)
        try:
            address = "{}:{}".format(*listening.getsockname())
            assert admits_one(web, connect(address), come_from("127.0.0.1", address))
        finally:
            web.close()


WRONG = {
    "guarded:tcp:0:max_connections=x": "max_connections: 'x' is not a whole number from 1 to 2147483647",
    "guarded:tcp:0:max_conections=5": "max_conections: unknown key; did you mean max_connections?",
    "guarded:": "has no endpoint inside; guarded:tcp:8080:max_connections=100 would have one",
    "guarded:nonsense:5": "cannot be used: Unknown endpoint type: 'nonsense'",
    "guarded:systemd:domain=INET:index=0": "systemd passed no such socket to this process",
}


@pytest.mark.parametrize("text", WRONG)
def test_our_own_commands_say_in_one_line_what_is_wrong(tmp_path: Path, text: str) -> None:
    result = finished("twist", "twistnet-echo", "--listen", text, folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.decode() == f"twistnet-echo: --listen: {text!r}: {WRONG[text]}\n"


@pytest.mark.parametrize("program", [["twistd", "-n", "--pidfile="], ["twist"]])
def test_twisteds_own_programs_end_with_a_line_that_says_what_is_wrong(
    tmp_path: Path, program: list[str]
) -> None:
    """And with no traceback, though they make their endpoints where they turn no error into a message."""
    text = "guarded:tcp:0:max_conections=5"
    result = finished(*program, "web", "--listen", text, folder=tmp_path)
    assert result.returncode == 1
    assert result.stderr.decode() == f"{text}: {WRONG[text]}\n"
