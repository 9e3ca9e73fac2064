"""Where every policy allows everything, a protocol sees what it sees without any: the same script, bare and guarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.peers import Peer, connect
from tests.policies.serving import PORT, Served, Told, connect_tls
from twistnet import ConnectionConfig
from twistnet.simulation import Network

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""

GENEROUS = ConnectionConfig(
    max_connections=100,
    per_source=100,
    accept_rate=1000,
    idle_timeout=10_000,
    lifetime=100_000,
    handshake_timeout=1000,
    rate=10**10,
    high_water_mark=10**8,
    write_buffer_limit=10**9,
    allow="0.0.0.0/0",  # type: ignore[arg-type]
    deny="192.0.2.0/24",  # type: ignore[arg-type]
)
"""Every policy is on, and none has anything to say."""
TIMES = ConnectionConfig(max_connections=100, idle_timeout=10_000, lifetime=100_000)
MARKS = ConnectionConfig(high_water_mark=10**8)
GUARDS = {
    "all": (GENEROUS,),
    "times": (TIMES,),
    "marks": (MARKS,),
    "three": (GENEROUS, TIMES, MARKS),
    "two": (MARKS, GENEROUS),
}

Action = tuple[str, int]
ACTIONS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from([1, 1000, 60_000, 200_000])),
    st.tuples(
        st.sampled_from(
            ["close", "abort", "finish", "pause", "resume", "push", "pull", "unregister", "fail", "switch"]
        ),
        st.just(0),
    ),
)
TURNS = st.lists(st.lists(ACTIONS, max_size=3), max_size=4)
"""What is done at each event, the first when the connection is made."""


class Pulled:
    """Writes what it still has, a piece whenever it is asked."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._left = 4

    def resumeProducing(self) -> None:
        if self._left:
            self._left -= 1
            self._actor.transport.write(b"p" * 20_000)
        else:
            self._actor.transport.unregisterProducer()

    def stopProducing(self) -> None:
        self._actor.events.append("stopped")


class Pushing(Pulled):
    """Has nothing more to write once it was paused; when it is, is for the marks to say."""

    def pauseProducing(self) -> None:
        """It does nothing anyway."""

    def resumeProducing(self) -> None:
        self._actor.transport.unregisterProducer()

    def stopProducing(self) -> None:
        """It has stopped already, or not."""


class Actor(Told):
    """Does the next turn's actions at each event."""

    def __init__(self, turns: list[list[Action]], *, half_closes: bool) -> None:
        done = self.act
        super().__init__(done, lambda _, data: self.act(), done if half_closes else None)
        self._turns = iter(turns)
        self._half_closes = half_closes
        self._finishing = False
        self._registered = False
        self._closing = False
        self.successor: Actor | None = None

    def dataReceived(self, data: bytes) -> None:
        if not self._closing:  # a bare TLS transport goes on delivering
            super().dataReceived(data)

    def act(self, _: Any = None) -> None:
        for name, number in next(self._turns, ()):
            self.do(name, number)

    def do(self, name: str, number: int) -> None:
        transport, half = self.transport, self._half_closes and not self._finishing
        does: dict[str, Callable[[], object]] = {
            "write": lambda: transport.write(b"w" * number),
            "close": self.close,
            "abort": transport.abortConnection,
            "finish": self.finish if half else lambda: None,  # twice is the end of a bare connection
            "pause": transport.pauseProducing,
            # A bare transport would find the end again.
            "resume": lambda: "finished" in self.events or transport.resumeProducing(),
            "push": lambda: self.register(Pushing(self), True),
            "pull": lambda: self.register(Pulled(self), False),
            "unregister": transport.unregisterProducer,
            "fail": self.fail,
            "switch": self.switch,
        }
        does[name]()

    def close(self) -> None:
        self._closing = True
        self.transport.loseConnection()

    def finish(self) -> None:
        self._finishing = True
        self.transport.unregisterProducer()  # or a bare connection is never half-closed
        self.transport.loseWriteConnection()

    def register(self, producer: Pulled, streaming: bool) -> None:
        if not self._registered:
            self._registered = True
            self.transport.registerProducer(producer, streaming)

    def fail(self) -> None:
        raise RuntimeError("a bug")

    def switch(self) -> None:
        self.successor = Actor([*self._turns], half_closes=self._half_closes)
        self.successor._finishing = self._finishing
        self.successor._registered = self._registered
        self.transport.protocol = self.successor
        self.successor.makeConnection(self.transport)

    @property
    def story(self) -> list[Any]:
        """What it and those after it have seen."""
        return self.events + (self.successor.story if self.successor is not None else [])


def play(
    turns: list[list[Action]],
    peer_turns: list[list[Action]],
    *configs: ConnectionConfig,
    half: bool,
    tls: bool,
) -> tuple[Any, ...]:
    """What both ends see; a second passes between the turns of the peer."""
    with Network() as network:
        served = Served(network.host("server"), lambda: Actor(turns, half_closes=half), *configs)
        network.run(served.listen(tls=tls))
        client = network.host("client")
        with network.expected_errors(RuntimeError):
            peer = connect_tls(network, client) if tls else connect(network, client, "server", PORT)
            network.advance(1)
            for turn in peer_turns:
                for name, number in turn:
                    if not peer.lost.called:
                        _ACT[name](peer, number)
                network.advance(1)
            network.advance(10)
        lost = peer.lost.result if peer.lost.called else None
        return served.made[0].story, len(peer.received), peer.ended.called, lost


_ACT: dict[str, Callable[[Peer, int], object]] = {
    "write": lambda peer, number: peer.say(b"c" * number),
    "close": lambda peer, number: peer.transport.loseConnection(),
    "abort": lambda peer, number: peer.transport.abortConnection(),
    "finish": lambda peer, number: peer.transport.loseWriteConnection(),
    "pause": lambda peer, number: peer.transport.pauseProducing(),
    "resume": lambda peer, number: peer.ended.called or peer.transport.resumeProducing(),
}
PEER_TURNS = st.lists(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.sampled_from([1, 1000, 100_000])),
            st.tuples(st.sampled_from(["close", "abort", "finish", "pause", "resume"]), st.just(0)),
        ),
        max_size=3,
    ),
    max_size=4,
)


def differs(turns: list[list[Action]], peer_turns: list[list[Action]], guards: str) -> bool:
    """Whether there may be a difference, because the peer may be gone before all is written.

    A rate hands over 64 KiB at a time; who is pulled is asked for more below the high mark, and not below nothing.
    """
    by_peer = {name for turn in peer_turns for name, _ in turn}
    by_us = {name for turn in turns for name, _ in turn}
    has_rate = any(config.rate is not None for config in GUARDS[guards])
    octets = sum(number for turn in turns for _, number in turn)
    ends = bool({"close", "abort", "finish"} & by_peer or {"abort", "fail"} & by_us)
    return (ends and "pull" in by_us) or (has_rate and octets > 65_536 and (ends or "close" in by_us))


@settings(max_examples=80)
@given(turns=TURNS, peer_turns=PEER_TURNS, guards=st.sampled_from([*GUARDS]), half=st.booleans())
def test_over_tcp(turns: Any, peer_turns: Any, guards: str, half: bool) -> None:
    assume(not differs(turns, peer_turns, guards))
    bare = play(turns, peer_turns, half=half, tls=False)
    assert play(turns, peer_turns, *GUARDS[guards], half=half, tls=False) == bare


@settings(max_examples=40)
@given(turns=TURNS, peer_turns=PEER_TURNS, guards=st.sampled_from([*GUARDS]))
def test_over_tls(turns: Any, peer_turns: Any, guards: str) -> None:
    """Which knows no half-close and no protocol but the first, delivers what it has read to one that has paused, and
    waits for producers at other times."""
    turns = [
        [action for action in turn if action[0] not in {"switch", "pull", "push", "pause"}] for turn in turns
    ]
    peer_turns = [[action for action in turn if action[0] != "finish"] for turn in peer_turns]
    assume(not differs(turns, peer_turns, guards))
    story, received, *end = play(turns, peer_turns, half=False, tls=True)
    guarded_story, guarded_received, *guarded_end = play(
        turns, peer_turns, *GUARDS[guards], half=False, tls=True
    )
    assert (guarded_story, guarded_end) == (story, end)
    assert guarded_received >= received, (
        "what a bare transport keeps for the next turn is sent before a farewell"
    )
