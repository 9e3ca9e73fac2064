"""The files service: what it is configured with, and where it may listen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twistnet import make_node
from twistnet.errors import ConfigurationError
from twistnet.services.node import NodeService
from twistnet.simulation import Network


def started(network: Network, **settings: Any) -> NodeService:
    """A node with the service."""
    return NodeService(make_node({"files": settings}), network.host("server"))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "services.files.folder: there is no folder"),
        ({"folder": "nothing"}, "services.files.folder: 'nothing' cannot be served: No such file"),
        ({"folder": "file"}, "services.files.folder: 'file' cannot be served: Not a directory"),
        ({"folder": ".", "quota": "1MB"}, "services.files.quota: means nothing without writable"),
        ({"folder": ".", "max_file_size": 1}, "services.files.max_file_size: means nothing"),
        ({"folder": ".", "writable": True, "quota": 0}, "services.files.quota: 0 is not above 0"),
        (
            {"folder": ".", "listen": ["tcp:7014", "tcp:7014:interface=0.0.0.0"]},
            r"services.files.listen\[1\]: 'tcp:7014:interface=0.0.0.0' is open to other machines: ask .*mtls",
        ),
        ({"folder": ".", "listen": [r"guarded:tcp6:7014:interface=\:\:"]}, "is open to other machines"),
        ({"folder": ".", "listen": ["systemd:domain=INET:index=0"]}, "systemd"),
        ({"folder": ".", "listen": ["udp:7014"]}, "answers streams only"),
    ],
)
def test_what_cannot_be(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=problem):
        started(network, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"listen": ["unix:files.sock"]},
        {"anonymous": True, "listen": ["tcp:7014:interface=0.0.0.0"]},
        {"writable": True, "quota": "1GiB", "max_file_size": "1MiB", "partial_lifetime": "1h"},
    ],
)
def test_what_can_be(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    node = started(network, folder=".", **settings)
    node.startService()
    assert [len(service.ports) for service in node] == [1]
    network.run(node.stopService())


def test_other_machines_are_let_in_with_certificates(network: Network, tmp_path: Path) -> None:
    certificates = pytest.importorskip(
        "tests.simulation.other_code.certificates", reason="needs twistnet[tls]"
    )
    (tmp_path / "server.pem").write_bytes(certificates.pem("server"))
    (tmp_path / "ca.pem").write_bytes(certificates.authority_pem())
    listen = f"mtls:{tmp_path}:7014:ca={tmp_path}/ca.pem:interface=0.0.0.0"
    node = started(
        network, folder=str(tmp_path), listen=[listen, f"guarded:{listen.replace('7014', '7015')}"]
    )
    node.startService()
    assert [len(service.ports) for service in node] == [2]
    network.run(node.stopService())
