"""Services over TLS: nothing is lost when the peer says farewell, and nothing stays open."""

from __future__ import annotations

import datetime
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.panes import pane
from tests.running import BIN, Program, connect, finished, running

x509 = pytest.importorskip("cryptography.x509", reason="needs twistnet[tls]")
pytest.importorskip("OpenSSL", reason="needs twistnet[tls]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for localhost, made for the occasion."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.crt").write_bytes(pem)
    (folder / "pem").mkdir()
    (folder / "pem" / "localhost.pem").write_bytes(secret + pem)
    return folder


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Program]:
    """Echo, upper, and upper that answers once."""
    services = "--service echo --listen tls:pem:0 --service upper --listen tls:pem:0"
    once = "--service upper --once --listen tls:pem:0"
    with running("twistnet", "--access-log", *services.split(), *once.split(), folder=folder) as program:
        program.addresses(3)
        yield program


def exchange(node: Program, folder: Path, index: int, question: bytes, *, pause: float = 0.0) -> bytes:
    """Send a question and the farewell in one piece, then read all that comes; a client in memory and one socket."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    answer = b""
    with connect(node.addresses(3)[index][1]) as client:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.sendall(outgoing.read())
                incoming.write(client.recv(65536))
        tls.write(question)
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        client.settimeout(0.1 if pause else 20)
        rest = memoryview(outgoing.read())
        while rest:
            try:
                rest = rest[client.send(rest) :]
            except TimeoutError:
                incoming.write(client.recv(65536))
        client.settimeout(20)
        while data := client.recv(65536):
            incoming.write(data)
        try:
            while piece := tls.read(65536):
                answer += piece
        except ssl.SSLError:
            pass
    return answer


@pytest.mark.parametrize("octets", [1, 10, 50_001, 300_001, 2_000_000])
def test_the_answer_is_whole_though_the_farewell_came_with_the_question(
    node: Program, folder: Path, octets: int
) -> None:
    question = b"abcdefghij" * (octets // 10) + b"x" * (octets % 10)
    assert exchange(node, folder, 0, question, pause=0.1 * (octets > 1e6)) == question
    assert exchange(node, folder, 1, question, pause=0.1 * (octets > 1e6)) == question.upper()
    assert "Traceback" not in node.output


@pytest.mark.parametrize("octets", [5, 100_000])
def test_the_one_shot_answer_too(node: Program, folder: Path, octets: int) -> None:
    assert exchange(node, folder, 2, b"x" * octets) == b"X" * octets


def test_no_connection_stays_open(node: Program, folder: Path) -> None:
    exchange(node, folder, 0, b"last")
    opened = len([line for line in node.lines if " opened" in line])
    node.wait_for(" closed after", opened)


def test_twistnet_send_over_tls(node: Program, folder: Path) -> None:
    environment = {**os.environ, "SSL_CERT_FILE": str(folder / "ca.crt")}
    data = os.urandom(3_000_000)
    port = node.addresses(3)[0][1].rpartition(":")[2]
    for _ in range(2):
        result = subprocess.run(
            [BIN / "twistnet", "send", f"tls:localhost:{port}"],
            input=data, capture_output=True, env=environment, timeout=30, check=False, cwd=folder,
        )  # fmt: skip
        assert (result.returncode, result.stderr) == (0, b"")
        assert result.stdout == data
    silent = subprocess.run(
        [BIN / "twistnet", "send", f"tls:localhost:{port}"],
        stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=30, check=False, cwd=folder,
    )  # fmt: skip
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, b"", b""), "nothing to say is no error"
    result = subprocess.run(
        [BIN / "twistnet", "send", f"tls:localhost:{port}"],
        input=b"x",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (result.returncode, result.stderr.split()[0]) == (1, b"TLS"), "whose authority nobody knows"


def test_twistnet_connect_over_tls(node: Program, folder: Path) -> None:
    """It is the handshake that answers, and nothing stays open after it."""
    port = node.addresses(3)[0][1].rpartition(":")[2]
    told = []
    for authority in (str(folder / "ca.crt"), os.devnull):
        result = subprocess.run(
            [BIN / "twistnet", "connect", f"tls:localhost:{port}"],
            env={**os.environ, "SSL_CERT_FILE": authority},
            capture_output=True, text=True, timeout=30, check=False, cwd=folder,
        )  # fmt: skip
        told.append((result.returncode, result.stdout.split(" in ")[0], result.stderr))
    assert told == [(0, "OK 0", ""), (1, "TLS", "")]


def test_a_folder_without_certificates_is_one_line(tmp_path: Path) -> None:
    result = finished(
        "twistd", "-n", "--pidfile=", "twistnet-echo", "--listen", "tls:none:0", folder=tmp_path
    )
    assert result.returncode == 2
    assert result.stderr == (
        b"twistnet-echo: --listen: 'tls:none:0': there is no folder 'none' with .pem files in it\n"
    )


@pytest.mark.needs("tmux")
def test_a_conversation_over_tls_ends_with_the_last_word(node: Program, folder: Path) -> None:
    port = node.addresses(3)[1][1].rpartition(":")[2]
    with pane(folder) as terminal:
        terminal.run(f"clear; SSL_CERT_FILE=ca.crt twistnet talk --wait 10s tls:localhost:{port}")
        terminal.wait_for("^> *$")
        terminal.type("hello\r")
        terminal.wait_for(r"^> hello\nHELLO\n> *$")
        terminal.type("last\rq\r")
        terminal.wait_for(r"^LAST$")
        terminal.wait_for(r"^\$$", within=5)
        terminal.run("echo status $?")
        terminal.wait_for("^status 0$")
