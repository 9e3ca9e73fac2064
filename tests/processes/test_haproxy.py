"""HAProxy in front: it says who the client is, finds out who is well, and sends nobody where work is going on."""

from __future__ import annotations

import re
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.balanced import Balancer, balancing, come_from, name_of
from tests.loaded import Load, under_load
from tests.running import PATIENCE, Program, ask, connect, read_all, running

pytestmark = pytest.mark.needs("haproxy")

NODE = """
[defaults]
access_log = true
[services.v1]
service = "upper"
listen = ["tcp:0"]
proxy_protocol = "v1"
[services.v2]
service = "echo"
listen = ["tcp:0"]
proxy_protocol = "v2"
[services.auto]
service = "upper"
listen = ["tcp:0"]
proxy_protocol = "auto"
proxy_allow_from = ["127.0.0.1"]
[services.limited]
service = "echo"
listen = ["tcp:0"]
proxy_protocol = "auto"
per_source = 1
accept_rate = 0.001
accept_burst = 3
deny = ["127.0.0.66", "127.0.0.1"]
"""
"""HAProxy's own address is denied in the last, so nothing there is decided by it."""

TLVS = "send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl,cert-cn"
SENT = {
    "v1": ("v1", "send-proxy"),
    "v2": ("v2", "send-proxy-v2"),
    "auto1": ("auto", "send-proxy"),
    "auto2": ("auto", TLVS),
    "limited1": ("limited", "send-proxy"),
    "limited2": ("limited", "send-proxy-v2"),
}
"""What is sent to which service, by the name of the backend."""

CHECKS = """    option tcp-check
    tcp-check send HELLO
    tcp-check expect string HELLO
"""


def where(node: Program, service: str) -> str:
    """The address of a service."""
    (line,) = node.wait_for(f" {service} serves on tcp ")
    return line.rpartition(" ")[2]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Program]]:
    """Two nodes that are the same."""
    with ExitStack() as stack:
        started = []
        for name in ("one", "two"):
            folder = tmp_path_factory.mktemp(name)
            (folder / "node.toml").write_text(NODE)
            started.append(stack.enter_context(running("twistnet", "--config", "node.toml", folder=folder)))
        for node in started:
            node.addresses(4)
        yield started


@pytest.fixture(scope="module")
def balancer(nodes: list[Program], folder: Path) -> Iterator[Balancer]:
    """A backend for each way to send a header, with both nodes as its servers."""
    backends = {
        backend: "".join(
            f"    server {name} {where(node, service)} {sent}\n"
            for name, node in zip(("one", "two"), nodes, strict=True)
        )
        for backend, (service, sent) in SENT.items()
    }
    with balancing(folder, backends) as running_balancer:
        yield running_balancer


def refused(balancer: Balancer, backend: str, source: str) -> bool:
    """Whether a client is turned away."""
    with come_from(source, balancer.fronts[backend]) as client:
        return is_cut_off(client)


def is_cut_off(client: socket.socket) -> bool:
    """Whether nobody answers."""
    try:
        return ask(client, b"X") != b"X"
    except ConnectionError:
        return True


@pytest.mark.parametrize("backend", ["v1", "v2", "auto1", "auto2"])
def test_the_log_has_the_clients_address_on_both_servers(
    balancer: Balancer, nodes: list[Program], backend: str
) -> None:
    service = SENT[backend][0]
    clients = [come_from("127.0.0.7", balancer.fronts[backend]) for _ in nodes]
    peers = [name_of(client) for client in clients]
    for client in clients:
        with client:
            assert ask(client, b"HELLO") == b"HELLO"
    for node in nodes:  # HAProxy takes turns between them
        (line,) = node.wait_for(f"{service}: ({'|'.join(peers)}) closed")
        assert "5 octets in, 5 out: closed by the peer" in line, "the header is not the client's"


def test_clients_over_ipv6(nodes: list[Program], tmp_path: Path) -> None:
    """The servers are reached over IPv4: only the header knows."""
    backends = {
        backend: f"    server one {where(nodes[0], SENT[backend][0])} {SENT[backend][1]}"
        for backend in ("v1", "v2", "auto2")
    }
    with balancing(tmp_path, backends, host="::1") as balancer:
        for backend, front in balancer.fronts.items():
            with come_from("::1", front) as client:
                assert ask(client, b"HELLO") == b"HELLO"
                nodes[0].wait_for(rf"{SENT[backend][0]}: {re.escape(name_of(client))} opened")


@pytest.mark.parametrize("backend", ["limited1", "limited2"])
def test_limits_count_clients_and_not_haproxy(
    balancer: Balancer, nodes: list[Program], backend: str, request: pytest.FixtureRequest
) -> None:
    """HAProxy takes turns between the servers, so every client comes twice."""
    number = list(SENT).index(backend)
    with ExitStack() as stack:
        for source in (f"127.0.{number}.1", f"127.0.{number}.2"):
            for _ in nodes:
                client = stack.enter_context(come_from(source, balancer.fronts[backend]))
                assert ask(client, b"SERVED") == b"SERVED"
        for _ in nodes:
            assert refused(balancer, backend, f"127.0.{number}.1"), "a second connection from one client"
    for node in nodes:
        node.wait_for(r"limited: refused 127\.0\.\d\.1:\d+: .* \(per_source\)")
    for _ in nodes:
        assert refused(balancer, backend, "127.0.0.66")
    for node in nodes:
        node.wait_for(r"limited: refused 127\.0\.0\.66:\d+: .* \(deny\)")


def test_connections_a_second_are_those_of_a_client(balancer: Balancer, nodes: list[Program]) -> None:
    for _ in range(3 * len(nodes)):
        with come_from("127.0.8.1", balancer.fronts["limited2"]) as client:
            assert ask(client, b"X") == b"X"
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b"", "gone, and no longer one of its source"
    for _ in nodes:
        assert refused(balancer, "limited2", "127.0.8.1")
    with come_from("127.0.8.2", balancer.fronts["limited2"]) as other:
        assert ask(other, b"X") == b"X"
    for node in nodes:
        node.wait_for(r"limited: refused 127\.0\.8\.1:\d+: .* \(accept_rate\)")


def test_nobody_else_may_say_who_the_client_is(nodes: list[Program]) -> None:
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello"
    with come_from("127.0.0.9", where(nodes[0], "auto")) as impostor:
        peer = name_of(impostor)
        assert is_cut_off(impostor)
    nodes[0].wait_for(rf"auto: refused {peer}: its PROXY header does not count \(proxy_allow_from\)")
    with come_from("127.0.0.1", where(nodes[0], "auto")) as trusted:
        trusted.sendall(header)
        assert trusted.recv(5) == b"HELLO"
        nodes[0].wait_for("auto: 192.0.2.1:1 opened")


def test_health_checks_pass_and_are_not_limited(nodes: list[Program], tmp_path: Path) -> None:
    """They come from an address that is denied, and faster than one source may connect; but they are LOCAL."""
    server = f"{where(nodes[0], 'limited')} send-proxy-v2 check inter 20ms"
    with balancing(tmp_path, {"checked": f"{CHECKS}    server one {server}"}) as balancer:
        nodes[0].wait_for(r"limited: 127\.0\.0\.1:\d+ closed .* 5 octets in, 5 out", 10)
        known = balancer.until("checked", "one", status="UP", check_status="L7OK")
        assert known["chkfail"] == "0"


def test_health_checks_of_version_1_are_clients_like_others(nodes: list[Program], tmp_path: Path) -> None:
    """HAProxy sends its own address in them, and has to be let in."""
    backends = {
        service: f"{CHECKS}    server one {where(nodes[0], service)} send-proxy check inter 20ms\n"
        for service in ("auto", "limited")
    }
    with balancing(tmp_path, backends) as balancer:
        nodes[0].wait_for(r"auto: 127\.0\.0\.1:\d+ closed .* 5 octets in, 5 out", 10)
        assert balancer.until("auto", "one", status="UP", check_status="L7OK")["chkfail"] == "0"
        balancer.until("limited", "one", status="DOWN")


def test_tls_within_what_haproxy_passes_on(tmp_path: Path) -> None:
    """The header stands before TLS, which HAProxy cannot read."""
    pytest.importorskip("OpenSSL", reason="needs twistnet[tls]")
    from tests.simulation.other_code.certificates import authority_pem, pem

    (tmp_path / "pem").mkdir()
    (tmp_path / "pem" / "localhost.pem").write_bytes(pem("localhost"))
    context = ssl.create_default_context(cadata=authority_pem().decode())
    command = "twistnet-upper --access-log --proxy-protocol v2 --per-source 1 --listen tls:pem:0"
    with running(*command.split(), folder=tmp_path) as program:
        address = program.addresses(1)[0][1]
        with balancing(tmp_path, {"tls": f"    server one {address} {TLVS}"}) as balancer:
            with come_from("127.0.0.7", balancer.fronts["tls"]) as plain:
                client = context.wrap_socket(plain, server_hostname="localhost")
                with client:
                    assert ask(client, b"hello") == b"HELLO"
                    (line,) = program.wait_for("opened")
                    assert f" {name_of(client)} opened" in line
                    with come_from("127.0.0.7", balancer.fronts["tls"]) as second:
                        assert is_cut_off(second), "before TLS"
                    (line,) = program.wait_for(r"refused .* \(per_source\)")
                    with context.wrap_socket(
                        come_from("127.0.0.8", balancer.fronts["tls"]), server_hostname="localhost"
                    ) as other:
                        assert ask(other, b"hello") == b"HELLO"


COMMAND = "twistnet-upper --access-log --proxy-protocol v2 --graceful-timeout 15s --listen tcp:0"


def announce(balancer: Balancer) -> None:
    """Tell HAProxy that nobody is to be sent to a server, as the script of a deployment does."""
    assert balancer.tell("set server b/one state drain") == ""


def say_nothing(balancer: Balancer) -> None:
    """Let HAProxy find out from refused connections and failing checks."""


@pytest.mark.parametrize("before", [announce, say_nothing])
def test_a_server_is_drained_and_restarted_under_load_and_nothing_is_lost(
    tmp_path: Path, before: Callable[[Balancer], None]
) -> None:
    with ExitStack() as stack:
        one, two, again = (stack.enter_context(running(*COMMAND.split(), folder=tmp_path)) for _ in range(3))
        servers = "".join(
            f"    server {name} {program.addresses(1)[0][1]} send-proxy-v2 check inter 50ms fall 1 observe layer4\n"
            for name, program in (("one", one), ("two", two))
        )
        balancer = stack.enter_context(balancing(tmp_path, {"b": servers}))
        load = stack.enter_context(under_load(balancer.fronts["b"]))
        drain(balancer, one, load, before)
        host, port = again.addresses(1)[0][1].split(":")
        balancer.tell(f"set server b/one addr {host} port {port}")
        balancer.tell("set server b/one state ready")
        again.wait_for("opened", 50)
        load.goes_on()
    assert load.lost == []


def drain(balancer: Balancer, one: Program, load: Load, before: Callable[[Balancer], None]) -> None:
    """End a server while it is busy, and while two clients have more to say."""
    with connect(load.address) as first, connect(load.address) as second:
        for client in (first, second):
            assert ask(client, b"LONG") == b"LONG"
        before(balancer)
        one.send_signal(signal.SIGTERM)
        one.wait_for("waits up to 15 s for")
        load.goes_on()
        for client in (first, second):
            assert ask(client, b"STILL") == b"STILL"
    assert one.process.wait(PATIENCE) == -15
    assert "Traceback" not in one.output
