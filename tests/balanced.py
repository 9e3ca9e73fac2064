"""HAProxy in front of programs under test, with a configuration written for the occasion.

The rule of this module: HAProxy is given sockets that listen already, so that no port is guessed and nobody is too early.
"""

from __future__ import annotations

import csv
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event

from attrs import frozen

from tests.running import PATIENCE, connect, read_all

DEFAULTS = """
global
    nbthread 1
    stats socket unix@{folder}/admin.sock mode 600 level admin
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch 1
"""


@frozen
class Balancer:
    """An HAProxy that is running.

    Attributes:
        folder: Where its configuration and its control socket are.
        fronts: The addresses of its frontends, by their names.
    """

    folder: Path
    fronts: Mapping[str, str]

    def tell(self, command: str) -> str:
        """What it answers to a command of the operator's."""
        with connect(str(self.folder / "admin.sock")) as control:
            control.sendall(command.encode() + b"\n")
            return read_all(control).decode().strip()

    def server(self, backend: str, name: str) -> dict[str, str]:
        """What it knows of one of its servers."""
        rows = csv.DictReader(self.tell("show stat").removeprefix("# ").splitlines())
        return next(row for row in rows if (row["pxname"], row["svname"]) == (backend, name))

    def until(self, backend: str, name: str, **what: str) -> dict[str, str]:
        """What it knows of a server, once that is what is awaited."""
        for _ in range(int(PATIENCE / 0.02)):
            known = self.server(backend, name)
            if what.items() <= known.items():
                return known
            Event().wait(0.02)
        raise AssertionError({key: known[key] for key in what})


@contextmanager
def balancing(folder: Path, backends: Mapping[str, str], *, host: str = "127.0.0.1") -> Iterator[Balancer]:
    """HAProxy, with a frontend of the same name for each backend."""
    configuration = [DEFAULTS.format(folder=folder)]
    fronts, descriptors = {}, []
    with ExitStack() as stack:
        for name, backend in backends.items():
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listening = stack.enter_context(socket.create_server((host, 0), family=family, backlog=1024))
            descriptors.append(listening.fileno())
            fronts[name] = "[{}]:{}".format(*listening.getsockname())
            configuration.append(
                f"frontend {name}\n    bind fd@{listening.fileno()}\n    default_backend {name}"
            )
            configuration.append(f"backend {name}\n{backend}")
        (folder / "haproxy.cfg").write_text("\n".join(configuration) + "\n")
        output = stack.enter_context((folder / "haproxy.log").open("wb"))
        command = [shutil.which("haproxy") or "haproxy", "-db", "-f", "haproxy.cfg"]
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, pass_fds=descriptors)
        try:
            yield Balancer(folder, fronts)
        finally:
            process.kill()
            process.wait(PATIENCE)


def come_from(source: str, address: str) -> socket.socket:
    """A client socket with a source address of its choice; who is turned away at once sees it at the first use."""
    host, _, port = address.rpartition(":")
    client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    client.settimeout(PATIENCE)
    client.bind((source, 0))
    with suppress(ConnectionResetError):
        client.connect((host.strip("[]"), int(port)))
    return client


def name_of(client: socket.socket) -> str:
    """A client's own address, as logs have it."""
    host, port = client.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
