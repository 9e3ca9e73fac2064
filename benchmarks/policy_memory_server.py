"""The server of `policy_memory.py`: three guarded ports whose protocols misbehave at random, and one that tells of them.

    python benchmarks/policy_memory_server.py SEED

Prints the four ports. A connection to the last is answered with what the process holds, as JSON.
"""

from __future__ import annotations

import ctypes
import gc
import json
import random
import re
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import ILogObserver, globalLogBeginner
from zope.interface import implementer

from twistnet import ConnectionConfig, GuardedFactory, guard

reactor: Any = the_reactor

BAD_MOOD = 0.02
MUCH = bytes(300_000)
LIMITS: dict[str, Any] = {
    "max_connections": 60,
    "per_source": 8,
    "accept_rate": 40,
    "accept_burst": 50,
    "deny": "127.9.0.0/16",
    "idle_timeout": 0.3,
    "lifetime": 1,
    "handshake_timeout": 0.3,
    "graceful_timeout": 0.3,
    "rate": 1 << 18,
    "high_water_mark": 1 << 16,
    "write_buffer_limit": 1 << 17,
    "no_delay": True,
    "keepalive": True,
}
DIFFERENT: tuple[dict[str, Any], ...] = (
    {"overflow": "refuse"},
    {"overflow": "wait"},
    {"proxy_protocol": "auto"},
)


class Moody(Protocol):
    """Echoes, as a rule."""

    transport: Any

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def connectionMade(self) -> None:
        if self._chance.random() < BAD_MOOD:
            raise RuntimeError("not in the mood")

    def dataReceived(self, data: bytes) -> None:
        mood = self._chance.random()
        if mood < BAD_MOOD:
            raise RuntimeError("not in the mood")
        if mood < 2 * BAD_MOOD:
            self.transport.abortConnection()
        self.transport.write(data if mood < 0.98 else MUCH)
        if mood > 0.9:
            self.transport.loseConnection()


class MoodyFactory(Factory):
    """Builds a protocol, as a rule."""

    noisy = False

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def buildProtocol(self, addr: Any) -> Protocol | None:
        if self._chance.random() < BAD_MOOD:
            raise RuntimeError("not in the mood")
        return None if self._chance.random() < BAD_MOOD else Moody(self._chance)


class Report(Protocol):
    """Tells what the process holds."""

    transport: Any

    def __init__(self, guards: list[GuardedFactory]) -> None:
        self._guards = guards

    def connectionMade(self) -> None:
        self.transport.write(json.dumps(holdings(self._guards)).encode())
        self.transport.loseConnection()


def holdings(guards: list[GuardedFactory]) -> dict[str, Any]:
    """What the process holds, and what its guards have decided."""
    gc.collect()
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc keeps freed memory for later, which is no growth
    status = Path("/proc/self/status").read_text("ascii")
    return {
        "MiB": int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024,
        "blocks": sys.getallocatedblocks(),
        "objects": len(gc.get_objects()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "timers": len(reactor.getDelayedCalls()),
        "slots": sum(each.gate.slots.open for each in guards),
        "sources": sum(each.gate.sources for each in guards),
        "connections": sum(len(each.open) + each.reception.waiting for each in guards),
        "decisions": {f"{policy} {outcome}": count for (policy, outcome), count in guards[0].counters},
    }


@implementer(ILogObserver)
class Nobody:
    """Reads no log."""

    def __call__(self, event: Any) -> None:
        """Do nothing."""


def main() -> None:
    """Listen."""
    chance = random.Random(int(sys.argv[1]))
    globalLogBeginner.beginLoggingTo([Nobody()], redirectStandardIO=False)
    guards: list[GuardedFactory] = [
        guard(MoodyFactory(chance), ConnectionConfig(**LIMITS, **more), clock=reactor, name="storm")
        for more in DIFFERENT
    ]
    report = Factory.forProtocol(partial(Report, guards))
    report.noisy = False
    ports = [reactor.listenTCP(0, each, backlog=400, interface="127.0.0.1") for each in (*guards, report)]
    print(*(port.getHost().port for port in ports), flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
