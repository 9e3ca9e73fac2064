"""A busy network that follows from a seed, and what was seen of it: the scenario that determinism is tested with.

The rule of this module: all that it does is asked of the network's own generator or of Twisted's own code. There is no TLS
in it, because OpenSSL's keys are random whatever the seed; and no web server, whose answers tell the date.

    python tests/simulation/busy.py SEED...

prints a line for each seed: the seed, a digest of the trace and of what the programs were told, and how many records and
events these are. With `--collect-often` the garbage collector comes at other moments.
"""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random
from typing import Any, ClassVar

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import DeferredList
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall, cooperate
from twisted.internet.threads import deferToThread
from twisted.protocols.amp import AMP, Command, Integer
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from twistnet.simulation import (
    BlackHole,
    Crash,
    CutAt,
    Degrade,
    Exponential,
    Fault,
    Fixed,
    GilbertElliott,
    Hold,
    Host,
    NamesFail,
    NamesSilent,
    NamesSlow,
    Network,
    Normal,
    Partition,
    RandomSizes,
    Refuse,
    Reset,
    Skew,
)
from twistnet.simulation.pcap import write_pcap

LASTING = 6.0
"""Virtual seconds that the scenario lasts."""
CLIENTS = ("anna", "ben", "cleo")
Tell = Callable[..., None]


class Double(Command):
    """A number, doubled."""

    arguments: ClassVar[Any] = [(b"number", Integer())]
    response: ClassVar[Any] = [(b"doubled", Integer())]


class Doubler(AMP):
    """Answers."""

    @Double.responder
    def double(self, number: int) -> dict[str, int]:
        return {"doubled": 2 * number}


class EchoLines(LineReceiver):
    """Sends lines back, and ends the connection when it is told to."""

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line)
        if line.endswith(b"bye"):
            self.transport.loseConnection()  # type: ignore[union-attr]


class Talker(LineReceiver):
    """Says lines of any length at any time, now and then the last one, and tells what it hears."""

    def __init__(self, host: Host, tell: Tell, random: Random) -> None:
        self._host, self._tell, self._random = host, tell, random
        self._saying = LoopingCall(self._say)
        self._saying.clock = host

    def connectionMade(self) -> None:
        self._tell(self._host, "connected", self.transport.getPeer())  # type: ignore[union-attr]
        self._saying.start(self._random.uniform(0.1, 1.0))

    def _say(self) -> None:
        last = b" bye" if self._random.random() < 0.05 else b""
        self.sendLine(b"x" * self._random.randint(0, 1000) + last)

    def lineReceived(self, line: bytes) -> None:
        self._tell(self._host, "line", len(line))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._saying.stop()
        self._tell(self._host, "lost", type(reason.value).__name__)


class Datagrams(DatagramProtocol):
    """Answers datagrams that ask, and tells of those that don't."""

    transport: Any

    def __init__(self, host: Host, tell: Tell) -> None:
        self._host, self._tell = host, tell

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if datagram.startswith(b"?"):
            self.transport.write(b"!" + datagram[1:], addr)
        else:
            self._tell(self._host, "datagram", datagram.decode(), addr)

    def connectionRefused(self) -> None:
        self._tell(self._host, "refused")


class UnixTalker(Protocol):
    """A conversation within a machine."""

    def __init__(self, host: Host, tell: Tell) -> None:
        self._host, self._tell = host, tell

    def connectionMade(self) -> None:
        self.transport.write(b"over a path")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self._tell(self._host, "unix", data)
        self.transport.loseConnection()  # type: ignore[union-attr]


class Scenario:
    """Three clients, a server that opens everything, and what goes wrong between them.

    Attributes:
        seen: What the programs were told, in order.
    """

    def __init__(self, seed: int) -> None:
        self.network = Network(seed, link={"latency": 0.02})
        self.random = self.network.random
        self.seen: list[str] = []
        self.services: list[ClientService] = []
        self.network.host("server", boot=self._serve)
        for name in CLIENTS:
            self.network.host(name)
        self._spoil_links()
        self._schedule_faults()

    def tell(self, host: Host, *what: Any) -> None:
        """A program was told something."""
        self.seen.append(f"{host.seconds():.9f} {host.name} {what!r}")

    # What the machines do

    def _serve(self, host: Host) -> None:
        for description, factory in (
            ("tcp:7001", Factory.forProtocol(EchoLines)),
            ("tcp:7002", Factory.forProtocol(Doubler)),
            ("unix:/run/echo", Factory.forProtocol(EchoLines)),
        ):
            serverFromString(host, description).listen(factory)
        host.listenUDP(7003, Datagrams(host, self.tell))
        host.callLater(1, self._talk_within, host)

    def _talk_within(self, host: Host) -> None:
        factory = Factory.forProtocol(lambda: UnixTalker(host, self.tell))
        connecting = clientFromString(host, "unix:/run/echo").connect(factory)
        connecting.addErrback(lambda failure: self.tell(host, "not connected", type(failure.value).__name__))

    def begin(self) -> None:
        """Let every client do everything."""
        for name in CLIENTS:
            host = self.network.hosts[name]
            self._keep_talking(host)
            self._send_datagrams(host)
            self._work(host)
            self.network.start(self._ask(host), on=host)

    def _keep_talking(self, host: Host) -> None:
        talkers = Factory.forProtocol(lambda: Talker(host, self.tell, self.random))
        policy = backoffPolicy(initialDelay=0.3, maxDelay=1, jitter=lambda: self.random.uniform(0, 0.1))
        endpoint = clientFromString(host, "tcp:server:7001:timeout=1")
        service = ClientService(endpoint, talkers, retryPolicy=policy, clock=host)
        service.startService()
        self.services.append(service)

    def _send_datagrams(self, host: Host) -> None:
        asker = Datagrams(host, self.tell)
        port = host.listenUDP(0, asker)
        connected = Datagrams(host, self.tell)
        host.listenUDP(0, connected).connect("10.0.0.1", 7004)

        def send() -> None:
            size = self.random.randint(1, 2000)
            asker.transport.write(b"?" + b"y" * size, ("10.0.0.1", 7003))
            connected.transport.write(b"is anybody there")
            self.tell(host, "sent", port.getHost().port)

        sending = LoopingCall(send)
        sending.clock = host
        sending.start(self.random.uniform(0.2, 0.6))

    def _work(self, host: Host) -> None:
        with self.network.on(host):
            cooperate(self._steps(host)).whenDone().addCallback(lambda _: self.tell(host, "worked"))
            deferToThread(sum, [1, 2]).addCallback(lambda total: self.tell(host, "thread", total))

    def _steps(self, host: Host) -> Iterator[None]:
        for step in range(250):
            self.tell(host, "step", step)
            yield

    async def _ask(self, host: Host) -> None:
        for number in range(6):
            endpoint = clientFromString(host, "tcp:server:7002:timeout=1")
            try:
                peer = await endpoint.connect(Factory.forProtocol(AMP))
                answers = [peer.callRemote(Double, number=number + k) for k in range(3)]
                answered = await DeferredList(answers, consumeErrors=True)
                self.tell(host, "answers", [str(answer) if ok else "none" for ok, answer in answered])
                peer.transport.loseConnection()
            except Exception as error:
                self.tell(host, "failed", type(error).__name__)

    # What goes wrong

    def _spoil_links(self) -> None:
        choose = self.random.choice
        for name in CLIENTS:
            self.network.link(name, "server").update(
                latency=self.random.uniform(0.001, 0.05),
                jitter=choose([None, 0.01, Normal(0.01), Exponential(0.01)]),
                loss=choose([None, 0.05, GilbertElliott(to_bad=0.05, to_good=0.3)]),
                duplicate=choose([0.0, 0.05]),
                reorder=choose([0.0, 0.2]),
                rate=choose([None, 200_000.0]),
                queue=choose([None, 5000]),
                slicing=choose([None, Fixed(100), RandomSizes(1, 900), CutAt((10, 500))]),
            )

    def _schedule_faults(self) -> None:
        for fault in self.random.sample(self._faults(), 6):
            at, lasting = self.random.uniform(0.2, LASTING * 0.7), self.random.uniform(0.1, 2.0)
            self.network.schedule(fault, at=at, lasting=lasting)
        self.network.schedule(Hold("ben", "server"), offset=1500, between=("ben", "server"), lasting=1.0)

    def _faults(self) -> list[Fault]:
        return [
            Partition("anna", "server"),
            Partition(CLIENTS, "server", both=False),
            Hold("server", "cleo"),
            Crash("server"),
            Reset(CLIENTS, "server"),
            Reset("ben", "server", port=7001),
            Refuse("server", 7001),
            BlackHole("server", 7002),
            Refuse("server", 7003, transport="udp"),
            Skew("cleo", 5.0),
            NamesFail("server"),
            NamesSilent(),
            NamesSlow(0.7),
            Degrade("anna", "server", loss=0.4, latency=0.2),
            Degrade("cleo", "server", slicing=Fixed(7), rate=50_000.0),
        ]

    def play(self) -> bytes:
        """Let it happen; all that was seen, and the trace as a diagram and as a capture."""
        with self.network, self.network.expected_errors():
            self.begin()
            self.network.advance(LASTING)
            for service in self.services:
                service.stopService()
            self.network.advance(1)
        capture = io.BytesIO()
        write_pcap(capture, self.network.trace.packets)
        return b"\n".join(
            [str(self.network.trace).encode(), "\n".join(self.seen).encode(), capture.getvalue()]
        )


def digest(seed: int) -> str:
    """A line for a seed."""
    scenario = Scenario(seed)
    played = scenario.play()
    return f"{seed} {sha256(played).hexdigest()} {len(scenario.network.trace)} {len(scenario.seen)}"


def main() -> None:
    """Print a line for each seed that is given."""
    if "--collect-often" in sys.argv:
        sys.argv.remove("--collect-often")
        gc.set_threshold(97, 5, 5)
    for seed in sys.argv[1:]:
        sys.stdout.write(f"{digest(int(seed))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
