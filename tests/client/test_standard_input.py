"""A standard input that cannot be read, which is not one that has ended."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import BIN, Program, running


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Program]:
    """Something to talk to."""
    with running("twistnet-upper", "--listen", "tcp:0", "--listen", "udp:0", folder=folder) as program:
        program.addresses(2)
        yield program


UNREADABLE = {
    "< /proc/$$/mem": "Input/output error",
    "0> written": "Bad file descriptor",
    "<&-": "Bad file descriptor",
}


@pytest.mark.parametrize("words", ["send", "talk", "request", "send --count 2"])
@pytest.mark.parametrize("redirection", UNREADABLE)
def test_is_an_error(node: Program, folder: Path, words: str, redirection: str) -> None:
    ended = over(node, 0, folder, words, redirection)
    assert ended == (1, "", f"FAILED standard input: {UNREADABLE[redirection]}\n")


@pytest.mark.parametrize("words", ["send", "request"])
@pytest.mark.parametrize("redirection", UNREADABLE)
def test_is_an_error_over_datagrams(node: Program, folder: Path, words: str, redirection: str) -> None:
    ended = over(node, 1, folder, words, redirection)
    assert ended == (1, "", f"FAILED standard input: {UNREADABLE[redirection]}\n")


def over(node: Program, index: int, folder: Path, words: str, redirection: str) -> tuple[int, str, str]:
    """How a command ends, as a shell runs it."""
    kind, address = node.addresses(2)[index]
    target = f"{kind}:127.0.0.1:{address.rpartition(':')[2]}"
    line = f"exec {redirection}; {BIN / 'twistnet'} {words} {target}; exit $?"
    environment = os.environ | {"TERM": "dumb"}
    result = subprocess.run(
        ["sh", "-c", line],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        cwd=folder,
        env=environment,
    )
    return result.returncode, result.stdout, result.stderr
