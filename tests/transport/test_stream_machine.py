"""Whatever both ends of a connection do: fast transports at both, or at one, keep what Twisted's own promise.

The rule of this module: on a simulated network every end is told the same as with Twisted's transports at both. On real
sockets, where a turn is as long as it is, what always holds is held against them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.pollreactor import PollReactor
from twisted.internet.protocol import ClientFactory, Factory
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.protocols import tls
from zope.interface import implementer

from tests.simulation.differential.certificate import serving, trusting
from tests.transport.simulated_transports import use_fast_transports
from twistnet.simulation import Network, Trace
from twistnet.transport import fast, reactor_factory, streams

from .stream_machine import OPERATIONS, End, Play, Refused, Script, Step, sequence

TURNS = 20_000
"""Of the reactors, at most, until everything has come to rest."""

CLOSING = {"lose", "half", "stop", "abort", "raise"}
LOSSES = {"ConnectionDone", "ConnectionLost", "ConnectionAborted", "Refused"}
ROUGH = LOSSES - {"ConnectionDone"}
"""Reasons that leave open how much had arrived before."""

Operations = tuple[tuple[str, Any], ...]


def operations(*names: str, most: int = 3) -> some.SearchStrategy[Operations]:
    """What an end does at a time."""
    each = [some.tuples(some.just(name), some.sampled_from(OPERATIONS[name])) for name in names]
    return some.lists(some.one_of(each), max_size=most).map(tuple)


def scripts(*left_out: str) -> some.SearchStrategy[Script]:
    """Scripts without some operations; nobody leaves at once."""
    all_of_them = operations(*sorted(set(OPERATIONS) - set(left_out)))
    steps = some.builds(
        Step,
        some.integers(0, 1),
        some.sampled_from(
            ["now", "now", "delivery", "delivery", "timer", "timer of delivery", "half", "loss"]
        ),
        all_of_them,
    )
    made = operations("write", "sequence", "push", "pull", "buffer", "pause", most=2)
    each = some.tuples(some.booleans(), some.booleans()), some.tuples(made, made)
    return some.builds(Script, *each, some.lists(steps, max_size=10).map(tuple))


def check(play: Play) -> None:
    """What always holds."""
    for end in play.ends:
        assert end is not None
        other = play.ends[1 - end.number]
        assert other is not None
        assert sequence(0, other.written).startswith(end.received), "not what was written"
        losses = [event for event in end.told if event in LOSSES]
        assert end.told[0] == "made"
        assert not losses or end.told[-1:] == losses, "told of something after the loss, or of two"
        assert "paused too early" not in end.produced
        assert end.after_abort == 0


# On a simulated network


def play_simulated(script: Script, *kinds: bool) -> Play:
    """Play a script with fast transports, or others, at the server and at the client."""
    with Network(trace=Trace(limit=0)) as network, network.expected_errors(Refused):
        hosts = []
        for is_fast, name in zip(kinds, ("server", "client"), strict=True):
            with transports(is_fast):
                hosts.append(network.host(name))
        server, client = hosts
        play = Play(script, (server, client), network.settle)
        with transports(kinds[0]):
            server.listenTCP(7, Factory.forProtocol(lambda: End(play, 0)))
        with transports(kinds[1]):
            client.connectTCP(server.addresses[0], 7, ClientFactory.forProtocol(lambda: End(play, 1)))
        play.run()
    check(play)
    return play


@contextmanager
def transports(are_fast: bool) -> Iterator[None]:
    """Have hosts make fast transports meanwhile, which read no more at once than Twisted's; or not."""
    with pytest.MonkeyPatch.context() as patch:
        if are_fast:
            use_fast_transports(patch.setattr)
            patch.setattr(streams, "LARGEST_READ", 1)
        yield


def marks(end: End) -> list[Any]:
    """What it was told, octets being octets."""
    return ["octets" if isinstance(event, int) else event for event in end.told]


@pytest.mark.skipif("config.getoption('--transport') == 'fast'", reason="there are no others then")
@pytest.mark.parametrize(
    "kinds", [(True, True), (True, False), (False, True)], ids=["both", "server", "client"]
)
def test_each_end_is_told_the_same_as_with_twisteds_own(kinds: tuple[bool, bool]) -> None:
    @settings(derandomize=True)
    @given(script=scripts("tls"))
    def compare(script: Script) -> None:
        stock, found = play_simulated(script, False, False), play_simulated(script, *kinds)
        if any(event in ROUGH for end in (*stock.ends, *found.ends) if end for event in end.told):
            return
        for ours, theirs in zip(found.ends, stock.ends, strict=True):
            assert ours is not None
            assert theirs is not None
            assert marks(ours) == marks(theirs)
            if not CLOSING & script.names(ours.number):
                assert ours.received == theirs.received

    compare()


# On real sockets


@implementer(ILogObserver)
class Errors:
    """What was logged of exceptions."""

    def __init__(self) -> None:
        self.types: list[type] = []

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            self.types.append(failure.type)


class Reactors:
    """Two reactors, or one, that take turns."""

    def __init__(self, *kinds: Callable[[], Any]) -> None:
        self.each = [kind() for kind in kinds]
        self.server, self.client = self.each[0], self.each[-1]

    def iterate(self, delay: float = 0) -> None:
        for reactor in self.each:
            reactor.iterate(delay)

    def until(self, condition: Callable[[], object]) -> None:
        """Take turns until a condition holds."""
        for turn in range(TURNS):
            if condition():
                return
            self.iterate(0.001 if turn > 20 else 0)
        raise AssertionError("it never happened")

    def settle(self, play: Play) -> None:
        """Take turns until nothing has happened for some."""
        quiet = [0, -1]

        def is_quiet() -> bool:
            quiet[0] = quiet[0] + 1 if quiet[1] == play.events else 0
            quiet[1] = play.events
            return quiet[0] > (30 if "tls" in play.script.names() else 8)

        self.until(is_quiet)

    def close(self) -> None:
        for reactor in self.each:
            for waker in reactor._internalReaders:
                reactor.removeReader(waker)
                waker.connectionLost(None)
            if hasattr(reactor, "_poller") and hasattr(reactor._poller, "close"):
                reactor._poller.close()


KINDS: dict[str, tuple[Callable[[], Any], ...]] = {
    "one reactor": (reactor_factory,),
    "a fast server": (reactor_factory, EPollReactor),
    "a fast client": (EPollReactor, reactor_factory),
    "in poll": (lambda: fast(PollReactor()),),
}


@pytest.fixture(params=KINDS)
def reactors(request: pytest.FixtureRequest) -> Iterator[Reactors]:
    """Reactors of which at least one is fast."""
    found = Reactors(*KINDS[request.param])
    yield found
    found.close()


def start_tls(play: Play) -> None:
    """Begin TLS at both ends, if nothing is under way and nobody has left."""
    for end in play.ends:
        assert end is not None
        transport = end.transport
        is_open = transport.connected and not transport.disconnecting and not transport._writeDisconnecting
        if transport.TLS or not is_open or transport.producer or "read lost" in end.told:
            return
    if is_delivered(play):
        for end, options in zip(play.ends, (serving, trusting), strict=True):
            assert end is not None
            end.transport.resumeProducing()
            end.transport.startTLS(options())


def is_delivered(play: Play) -> bool:
    """Whether each end has received all that the other has written."""
    server, client = play.ends
    assert server is not None
    assert client is not None
    return server.written == len(client.received) and client.written == len(server.received)


def play_really(reactors: Reactors, script: Script, path: Path | None) -> Play:
    """Play a script over TCP, or at a path; and look that nothing is left of it."""
    play = Play(script, (reactors.server, reactors.client), lambda: reactors.settle(play), start_tls)
    serving_ends: Any = Factory.forProtocol(lambda: End(play, 0))
    asking: Any = ClientFactory.forProtocol(lambda: End(play, 1))
    serving_ends.noisy = asking.noisy = False
    if path is None:
        port = reactors.server.listenTCP(0, serving_ends, interface="127.0.0.1")
        reactors.client.connectTCP("127.0.0.1", port.getHost().port, asking)
    else:
        port = reactors.server.listenUNIX(str(path), serving_ends)
        reactors.client.connectUNIX(str(path), asking)
    reactors.until(lambda: all(play.ends))
    play.run()
    if not CLOSING & script.names():
        play.until_delivered(reactors.until, lambda: is_delivered(play))
    port.stopListening()
    for end in play.ends:
        assert end is not None
        end.forget_script()
        end.transport.abortConnection()
    reactors.until(lambda: all(end is not None and end.told[-1] in LOSSES for end in play.ends))
    reactors.settle(play)
    check(play)
    return play


numbers = count()


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted does
@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_what_always_holds_does_on_real_sockets(
    reactors: Reactors, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "_get_default_clock", lambda: reactors.server)

    @settings(max_examples=8)
    @given(script=scripts())
    def play(script: Script) -> None:
        play_really(reactors, script, tmp_path / str(next(numbers)) if family == "unix" else None)
        for reactor in reactors.each:
            assert reactor.getReaders() == [*reactor._internalReaders]
            assert reactor.getWriters() == []

    errors = Errors()
    globalLogPublisher.addObserver(errors)
    try:
        play()
    finally:
        globalLogPublisher.removeObserver(errors)
    assert set(errors.types) <= {Refused}
