"""Connections that do anything at any time, under any policies: what is held is exact at every step, and nothing at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.peers import Peer, connect
from tests.policies.serving import PORT, Served, Told
from twistnet import ConnectionConfig
from twistnet.policies.guarded_factory import GuardedFactory
from twistnet.policies.stages import Stage
from twistnet.simulation import KernelConfig, Network, Reset

HEADER = b"PROXY TCP4 192.0.2.%d 198.51.100.1 40000 7\r\n"
READ = 65_536
"""Octets that a transport reads at once; so many a guard may hold when a connection is lost, and then delivers."""


GUARDS = st.fixed_dictionaries(
    {"lifetime": st.sampled_from([1000, 11])},
    optional={
        "max_connections": st.integers(1, 3),
        "overflow": st.just("refuse"),
        "per_source": st.integers(1, 2),
        "accept_rate": st.just(2),
        "idle_timeout": st.just(5),
        "handshake_timeout": st.just(2),
        "rate": st.sampled_from([300, 50_000]),
        "burst": st.sampled_from([1, 100]),
        "high_water_mark": st.sampled_from([500, 100_000]),
        "low_water_mark": st.sampled_from([0, 400]),
        "write_buffer_limit": st.just(150_000),
        "proxy_protocol": st.just("auto"),
        "dry_run": st.just(True),
    },
)
"""Any policies together."""


NEEDS = (("burst", "rate"), ("low_water_mark", "high_water_mark"), ("overflow", "max_connections"))


def config_of(values: dict[str, Any]) -> ConnectionConfig:
    for name, needed in NEEDS:
        if needed not in values:
            values.pop(name, None)
    return ConnectionConfig(graceful_timeout=1, **values)


class Acting(Told):
    """Does one thing when it is made, and one whenever it receives something."""

    def __init__(self, network: Network, made: str, received: str) -> None:
        super().__init__(
            lambda _: self.do(made),
            lambda _, data: self.received_some(received, data),
            lambda _: self.do("close"),
        )
        self._network = network
        self.passed: list[tuple[float, int]] = []
        self._inside = False

    def received_some(self, then: str, data: bytes) -> None:
        assert not self._inside, "called while it was being called"
        self.passed.append((self._network.clock.now, len(data)))
        self._inside = True
        try:
            self.transport.write(data) if then == "echo" else self.do(then)
        finally:
            self._inside = False

    def connectionLost(self, *args: Any) -> None:
        super().connectionLost(*args)
        # What was held is delivered with the loss, as a bare transport delivers what it has read.
        self.passed = [step for step in self.passed if step[0] < self._network.clock.now]

    def do(self, what: str) -> None:
        transport = self.transport
        if what == "write":
            transport.write(b"x" * 100_000)
        elif what == "fail":
            raise RuntimeError("a bug")
        elif what == "pull":
            transport.registerProducer(Pulled(transport), False)
        elif what != "nothing":
            getattr(transport, _METHODS[what])()

    def most_beyond(self, rate: float) -> float:
        """By how many octets at most some window has had more than `rate` times its length."""
        most = level = last = 0.0
        for now, octets in self.passed:
            level = max(0.0, level - rate * (now - last)) + octets
            most, last = max(most, level), now
        return most


_METHODS = {
    "close": "loseConnection",
    "abort": "abortConnection",
    "finish": "loseWriteConnection",
    "pause": "pauseProducing",
    "resume": "resumeProducing",
    "unregister": "unregisterProducer",
}
ON_MADE = ["nothing", "nothing", "write", "close", "abort", "pause", "pull", "fail"]
ON_DATA = ["echo", "echo", "nothing", "write", "close", "abort", "pause", "finish", "fail"]
LATER = ["write", "close", "abort", "pause", "resume", "finish", "unregister"]


class Pulled:
    """Writes for as long as it is asked; a few times."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._left = 5

    def resumeProducing(self) -> None:
        self._left -= 1
        if self._left:
            self._transport.write(b"p" * 30_000)
        else:
            self._transport.unregisterProducer()

    def stopProducing(self) -> None:
        self._left = 1


class Connections(RuleBasedStateMachine):
    """Peers on three hosts, one service."""

    def __init__(self) -> None:
        super().__init__()
        self.block = ExitStack()
        self.network = self.block.enter_context(Network())
        self.block.enter_context(self.network.expected_errors(RuntimeError))
        self.peers: list[Peer] = []
        self.builds: list[tuple[str, str, str]] = []
        small = KernelConfig(send_buffer=20_000, receive_buffer=20_000)
        self.clients = [self.network.host(f"client{n}", config=small) for n in range(3)]
        self.server = self.network.host("server", config=small)
        self.served: Served

    @initialize(values=st.lists(GUARDS, min_size=1, max_size=2))
    def listen(self, values: list[dict[str, Any]]) -> None:
        configs = [config_of(dict(each)) for each in values]
        if len(configs) == 2:  # a client sends one header, and the guard outside reads it
            configs[0] = evolve(configs[0], proxy_protocol="off")
        self.configs = configs
        self.served = Served(self.server, self.build, *configs)
        self.network.run(self.served.listen())

    def build(self) -> Acting | None:
        how, made, received = self.builds.pop(0) if self.builds else ("well", "nothing", "echo")
        if how == "fails":
            raise RuntimeError("a bug")
        return Acting(self.network, made, received) if how == "well" else None

    @property
    def proxied(self) -> bool:
        return any(config.proxy_protocol != "off" for config in self.configs)

    def guards(self) -> Iterator[GuardedFactory]:
        """From the outside in."""
        factory = self.served.factory
        while isinstance(factory, GuardedFactory):
            yield factory
            factory = factory.inner

    # What happens

    @precondition(lambda self: len(self.peers) < 9)
    @rule(
        client=st.integers(0, 2),
        header=st.sampled_from(
            [HEADER, HEADER, b"", b"PROXY TC", b"PROXY UNKNOWN\r\n", b"GET / HTTP\r\n\r\n"]
        ),
        build=st.tuples(
            st.sampled_from(["well"] * 6 + ["fails", "not"]),
            st.sampled_from(ON_MADE),
            st.sampled_from(ON_DATA),
        ),
        reads=st.booleans(),
    )
    def connect(self, client: int, header: bytes, build: tuple[str, str, str], reads: bool) -> None:
        self.builds.append(build)
        peer = connect(self.network, self.clients[client], "server", PORT, reads=reads)
        if self.proxied and header:
            peer.say(header % client if b"%" in header else header)
        self.peers.append(peer)

    @precondition(lambda self: self.peers)
    @rule(
        which=st.integers(0, 99),
        what=st.sampled_from(["say", "say", "shout", "stop", "read", "finish", "close", "abort"]),
    )
    def peer_does(self, which: int, what: str) -> None:
        peer = self.peers[which % len(self.peers)]
        if peer.lost.called:
            return
        transport = peer.transport
        does: dict[str, Any] = {
            "say": lambda: peer.say(b"hello"),
            "shout": lambda: peer.say(b"y" * 120_000),
            "stop": transport.pauseProducing,
            "read": lambda: None if peer.ended.called else peer.read(),
            "finish": transport.loseWriteConnection,
            "close": transport.loseConnection,
            "abort": transport.abortConnection,
        }
        does[what]()

    @precondition(lambda self: self.served.made)
    @rule(which=st.integers(0, 99), what=st.sampled_from(LATER))
    def protocol_does(self, which: int, what: str) -> None:
        protocol = self.served.made[which % len(self.served.made)]
        if "made" in protocol.events and not protocol.is_lost:
            protocol.do(what)

    @rule(seconds=st.sampled_from([0.002, 0.1, 1.0, 3.0, 7.0]))
    def wait(self, seconds: float) -> None:
        self.network.advance(seconds)

    @rule(client=st.integers(0, 2))
    def reset(self, client: int) -> None:
        with self.network.fault(Reset(f"client{client}", "server")):
            self.network.advance(0.01)

    # What is always so

    @invariant()
    def what_is_held_is_exact(self) -> None:
        if not hasattr(self, "served"):
            return
        for guard in self.guards():
            gate, connections = guard.gate, [*guard.open._open]
            stages = [connection.stage for connection in connections]
            let_in = [c for c in connections if c.place.slot]
            assert gate.slots.open == len(let_in)
            assert guard.config.dry_run or all(
                c.place.slot for c in connections if c.stage in {Stage.HEADER, Stage.OPEN}
            )
            assert guard.reception.waiting == sum(
                stage is Stage.WAITING and not c.place.slot
                for stage, c in zip(stages, connections, strict=True)
            )
            limit = guard.config.max_connections
            assert guard.config.dry_run or limit is None or gate.slots.open <= limit
            assert limit is not None or guard.reception.waiting == 0
            if gate._per_source is not None:
                counts = gate._per_source._open
                assert sum(counts.values()) == sum(c.place.source is not None for c in connections)
                assert guard.config.dry_run or max(counts.values(), default=0) <= gate._per_source.limit
        alive = sum("made" in p.events and not p.is_lost for p in self.served.made)
        assert alive == sum(c.stage is Stage.OPEN for c in [*guard.open._open])

    @invariant()
    def no_window_has_more_than_the_rate(self) -> None:
        for config in getattr(self, "configs", ()):
            if config.rate is None or config.dry_run:
                continue
            burst = config.rate / 5 if config.burst is None else config.burst
            for protocol in self.served.made:
                assert protocol.most_beyond(config.rate) <= max(1, burst) + 1

    def teardown(self) -> None:
        """All are closed: nothing is held any more, and the port accepts again."""
        with self.block:
            if hasattr(self, "served"):
                self.close_all()

    def close_all(self) -> None:
        for _ in range(len(self.peers) + 1):  # those that wait come in one after the other
            for peer in self.peers:
                if not peer.lost.called:
                    peer.transport.abortConnection()
            for protocol in self.served.made:
                if "made" in protocol.events and not protocol.is_lost:
                    protocol.transport.abortConnection()
            self.network.advance(2)
        self.served.assert_at_rest()
        self.builds.clear()
        again = self.network.host("again")
        peer = connect(self.network, again, "server", PORT)
        peer.say((HEADER % 9 if self.proxied else b"") + b"hello")
        self.network.advance(2)
        assert peer.received == b"hello"
        peer.transport.loseConnection()
        self.network.advance(2)
        self.served.assert_at_rest()


Connections.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestConnections = Connections.TestCase
