"""Calls from threads: each is made once, in order, whatever comes in between."""

from __future__ import annotations

import pytest

from twistnet.simulation import Network


def interrupt() -> None:
    """What Ctrl-C does to whatever runs."""
    raise KeyboardInterrupt


def test_an_interrupt_loses_no_call_that_was_not_made() -> None:
    net, made = Network(), list[str]()
    one, other = net.host("a"), net.host("b")
    for host in one, other:
        host.addSystemEventTrigger("after", "shutdown", made.append, f"{host.name} stops")
    for call in (lambda: made.append("a 1"), interrupt, lambda: made.append("a 2"), one.stop):
        one.callFromThread(call)
    other.callFromThread(made.append, "b 1")
    with pytest.raises(KeyboardInterrupt):
        net.settle()
    assert made == ["a 1"]
    net.settle()
    assert sorted(made) == ["a 1", "a 2", "a stops", "b 1"]
    assert made.index("a 2") < made.index("a stops")


def test_a_stop_that_an_interrupt_overtakes_is_made_up_for() -> None:
    net, made = Network(), list[str]()
    host = net.host("a")
    host.addSystemEventTrigger("after", "shutdown", made.append, "stops")
    host.callFromThread(host.stop)
    host.callFromThread(interrupt)
    with pytest.raises(KeyboardInterrupt):
        net.settle()
    assert made == []
    net.settle()
    assert made == ["stops"]


def test_a_crash_ends_the_calls_that_were_to_be_made() -> None:
    net, made = Network(), list[str]()
    host = net.host("a")
    for call in (lambda: made.append("before"), lambda: net.crash(host), lambda: made.append("after")):
        host.callFromThread(call)
    net.settle()
    net.restart(host)
    net.settle()
    assert made == ["before"]
