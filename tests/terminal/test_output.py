"""A terminal that takes nothing for a while: nobody waits for it, and what waits is bounded."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from twisted.internet.selectreactor import SelectReactor

from twistnet.terminal.output import HIGH, MOST, TerminalOutput


@pytest.fixture
def reactor() -> Iterator[SelectReactor]:
    """A reactor of this test's own."""
    own = SelectReactor()
    yield own
    for reader in own.removeAll():
        reader.connectionLost(None)
    for internal in own._internalReaders:
        internal.connectionLost(None)


def test_what_waits_is_bounded_and_what_is_lost_is_said(reactor: SelectReactor) -> None:
    screen, terminal = os.openpty()
    drained: list[int] = []
    output = TerminalOutput(reactor, terminal, lambda: drained.append(1))
    output.write("at once\n")
    assert os.read(screen, 100) == b"at once\r\n"
    full = [output.is_full]
    for _ in range(2000):
        output.write("x" * 999 + "\n")
    assert [*full, output.is_full] == [False, True]
    assert len(output._buffer) < MOST + 1000
    seen = b""
    for _ in range(10_000):
        reactor.doIteration(0)
        if drained:
            break
        seen += os.read(screen, 65536)
    assert drained == [1]
    shown = seen.count(b"\n")
    output.write("again\n")
    while not seen.endswith(b"again\r\n"):
        seen += os.read(screen, 65536)
    assert f"* {2000 - seen.count(b'x' * 999)} times something was not shown".encode() in seen
    assert HIGH < shown * 1000 < MOST + 100_000
    output.close()
    os.close(screen)
    os.close(terminal)


def test_nobody_waits_long_for_a_terminal_when_all_is_over(reactor: SelectReactor) -> None:
    screen, terminal = os.openpty()
    output = TerminalOutput(reactor, terminal, lambda: None)
    output.write("x" * 500_000)
    output.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(output.fileno())
    os.close(screen)
    os.close(terminal)
