"""Programs of this environment, forked from a process that has imported Twisted already: a tenth of the time of a start.

The rule of this module: only the imports are saved. Each program is a process of its own, in its own folder and with its own
standard streams, and runs the script that is installed; there is no reactor before it installs one.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Forked"]

PRELOADED = (
    "twisted.application.app",
    "twisted.application.twist._twist",
    "twisted.internet.endpoints",
    "twisted.internet.epollreactor",
    "twisted.plugin",
    "twisted.scripts.twistd",
    "twistnet.client.connect",
    "twistnet.client.files_session",
    "twistnet.client.request",
    "twistnet.client.send_datagram",
    "twistnet.client.send_stream",
    "twistnet.client.sending",
    "twistnet.client.targets",
    "twistnet.endpoints.plugins",
    "twistnet.services.builtin.answering",
    "twistnet.services.builtin.files",
    "twistnet.services.builtin.messages",
    "twistnet.services.node",
    "twistnet.services.plugins",
    "twistnet.tap.commands",
    "twistnet.tap.node_options",
    "twistnet.tap.process",
)


class Forked:
    """A program that was forked, with what tests use of `subprocess.Popen`.

    Attributes:
        pid: Its process.
        returncode: Its exit status, negative for a signal; `None` as long as it runs, or nobody has asked.

    Args:
        command: The path of a script, and its arguments.
        folder: Where it runs.
        streams: The descriptors that become its standard input, output and error.
    """

    def __init__(self, command: list[str], folder: Path, streams: tuple[int, int, int]) -> None:
        self.returncode: int | None = None
        self._news, theirs = socket.socketpair()
        with theirs:
            asked = {"command": command, "folder": str(folder), "environment": dict(os.environ)}
            request = json.dumps(asked).encode()
            socket.send_fds(_server(), [request], [*streams, theirs.fileno()])
        self._lines = self._news.makefile()
        self.pid = int(self._lines.readline())

    def wait(self, timeout: float | None = None) -> int:
        """See `Popen.wait`."""
        if self.returncode is None:
            self._news.settimeout(timeout)
            self.returncode = int(self._lines.readline())
            self._lines.close()
            self._news.close()
        return self.returncode

    def poll(self) -> int | None:
        """See `Popen.poll`."""
        if self.returncode is None:
            self._news.settimeout(0)
            try:
                ended = self._news.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return None
            assert ended
            self.wait()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """See `Popen.send_signal`."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """See `Popen.kill`."""
        self.send_signal(signal.SIGKILL)


@cache
def _server() -> socket.socket:
    """The process that forks, by the socket that it takes requests from. It ends when that is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,  # pipes, as programs will have: Python looks at what they are when it starts
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    atexit.register(_end, ours, server)
    return ours


def _end(requests: socket.socket, server: subprocess.Popen[bytes]) -> None:
    requests.close()
    server.communicate()


def serve(requests: socket.socket) -> list[str]:
    """Fork a program for each request. Returns in each program with its command, and otherwise never."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 4)
        if not request:
            os._exit(0)
        if not os.fork():
            requests.close()
            return _mind(json.loads(request), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        while os.waitpid(-1, os.WNOHANG)[0]:
            """One whose program has ended."""


def _mind(request: dict[str, Any], descriptors: list[int]) -> list[str]:
    """Fork the program, tell which process it is, and how it ends."""
    *streams, news = descriptors
    pid = os.fork()
    if pid:
        for descriptor in streams:
            os.close(descriptor)
        os.write(news, b"%d\n" % pid)
        os.write(news, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os._exit(0)
    os.close(news)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    _take_environment(request["environment"])
    return list(request["command"])


def _take_environment(environment: dict[str, str]) -> None:
    """Have the environment of who asked, and what Python makes of it when it starts."""
    os.environ.clear()
    os.environ.update(environment)
    sys.path[1:1] = [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder]


if __name__ == "__main__":
    for name in PRELOADED:
        importlib.import_module(name)
    assert "twisted.internet.reactor" not in sys.modules
    sys.argv[:] = serve(socket.socket(fileno=int(sys.argv[1])))
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
