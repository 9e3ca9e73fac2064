"""What a kernel does with those who come while a listener closes; on real sockets."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from twistnet.services.last_accepts import let_nobody_in

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what Linux can do")


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_UNIX, "")]
)
def test_who_was_let_in_is_served_and_nobody_else_is_let_in(
    family: socket.AddressFamily, host: str, tmp_path: Path
) -> None:
    with socket.socket(family) as listening, socket.socket(family) as early, socket.socket(family) as late:
        listening.bind((host, 0) if host else str(tmp_path / "s.sock"))
        listening.listen()
        early.connect(listening.getsockname())
        let_nobody_in(SimpleNamespace(socket=listening))
        late.settimeout(0.2)
        with pytest.raises(TimeoutError if host else ConnectionRefusedError):
            late.connect(listening.getsockname())
        early.sendall(b"x" * 100_000)
        served, _ = listening.accept()
        with served:
            served.settimeout(10)
            assert len(served.recv(100_000, socket.MSG_WAITALL)) == 100_000
            served.sendall(b"answer")
            assert early.recv(6) == b"answer"
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_what_is_no_socket_of_the_kernels_is_left_alone() -> None:
    let_nobody_in(SimpleNamespace())
    let_nobody_in(SimpleNamespace(socket="simulated"))
