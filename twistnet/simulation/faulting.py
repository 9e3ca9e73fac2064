"""What goes wrong with a network now, and what is to go wrong later.

The rule of this module: it begins faults and ends them, and keeps which of them there are; what each of them does is in
`faults`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any, Self, cast

from .faults import Fault, Hold, Partition
from .kernel import Kernel
from .link import Mark
from .packets import Fate, Transport

if TYPE_CHECKING:
    from .network import Network

__all__ = ["Faulting"]


class Faulting:
    """The part of a network that goes wrong.

    Attributes:
        refusing: The ports that refuse everybody: whose, of which transport, and which.
        swallowing: The ports that answer nobody.
    """

    def __init__(self) -> None:
        self.refusing: list[tuple[str, Transport, int]] = []
        self.swallowing: list[tuple[str, Transport, int]] = []
        self._begun: dict[int, tuple[Fault, Any]] = {}
        self._faults = 0

    @property
    def _network(self) -> Network:
        """The network that this is a part of."""
        return cast("Network", self)

    @property
    def faults(self) -> list[Fault]:
        """What goes wrong now, the oldest first."""
        return [fault for fault, _ in self._begun.values()]

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[Fault]:
        """Let something go wrong for as long as the block runs.

        Raises:
            SimulationError: It names a host that is not there.
        """
        token = self.begin(fault)
        try:
            yield fault
        finally:
            self.end(token)

    def begin(self, fault: Fault) -> int:
        """Let something go wrong from now on; returns what `end` needs to put it right."""
        _check(fault)
        begun = fault.begin(self._network)
        self._faults += 1
        self._begun[self._faults] = fault, begun
        self._network.note("", f"{fault} begins")
        return self._faults

    def end(self, token: int) -> None:
        """Put right what `begin` let go wrong; a second time, or after `heal`, it does nothing."""
        if token in self._begun:
            fault, begun = self._begun.pop(token)
            fault.end(self._network, begun)
            self._network.note("", f"{fault} ends")

    def heal(self) -> None:
        """Put everything right that goes wrong now."""
        for token in list(self._begun):
            self.end(token)

    def partition(self, one: Any, other: Any, *, both: bool = True) -> int:
        """Cut hosts off from others; returns what `end` needs. See `Partition`."""
        return self.begin(Partition(one, other, both=both))

    def hold(self, one: Any, other: Any, *, both: bool = True) -> int:
        """Keep back what hosts send each other; `release` lets it go, in order. See `Hold`."""
        return self.begin(Hold(one, other, both=both))

    def release(self, token: int | None = None) -> None:
        """Let go what one `hold` keeps, or all of them."""
        holds = [kept for kept, (fault, _) in self._begun.items() if isinstance(fault, Hold)]
        for kept in holds if token is None else [token]:
            self.end(kept)

    def schedule(
        self,
        fault: Fault,
        *,
        at: float | None = None,
        offset: int | None = None,
        between: tuple[Any, Any] | None = None,
        port: int | None = None,
        lasting: float | None = None,
    ) -> Self:
        """Let something go wrong later: at a time, or at a place in a stream.

        Args:
            fault: What.
            at: When, in virtual seconds since the network was made.
            offset: After so many octets of a connection from the first host of `between` to the second; the stream is
                cut there exactly, and what follows meets with the fault.
            between: The two hosts, when `offset` is given.
            port: Only a connection with this port at either end.
            lasting: For how many seconds; for ever, or until `heal`, by default.

        Raises:
            SimulationError: The fault is of a host that is not there.
            TypeError: `fault` is none.
            ValueError: Neither or both of `at` and `offset` are given, or one of them or `lasting` cannot be.
        """
        _check(fault)
        for name in getattr(fault, "hosts", ()):
            self._network.host_named(name)
        self._check_when(at, offset, between, lasting)

        def begin(_: None = None) -> None:
            token = self.begin(fault)
            if lasting is not None:
                self._network.clock.after(lasting, self.end, token)

        if at is not None:
            self._network.clock.after(at - self._network.clock.now, begin)
        elif offset is not None and between is not None:
            self._network.direction(*between).mark(Mark(offset, lambda end: _has_port(end, port), begin))
        return self

    def _check_when(self, at: float | None, offset: Any, between: Any, lasting: float | None) -> None:
        if (at is None) == (offset is None) or (offset is not None and between is None):
            raise ValueError("give either `at`, or `offset` with `between`")
        if at is not None and not self._network.clock.now <= at < inf:
            raise ValueError(f"at={at:g} is not to come: it is {self._network.clock.now:g}")
        if offset is not None and (not isinstance(offset, int) or offset < 1):
            raise ValueError(f"offset counts octets, from 1: {offset!r}")
        if lasting is not None and not 0 <= lasting < inf:
            raise ValueError(f"lasting must be a number of seconds, at least 0: {lasting!r}")

    def verdict(self, kernel: Kernel, transport: Transport, port: int) -> Fate | None:
        """See `Wire.verdict`."""
        if not (self.refusing or self.swallowing):
            return None
        key = kernel.name, transport, port
        return Fate.CUT_OFF if key in self.swallowing else Fate.REFUSED if key in self.refusing else None


def _check(fault: Any) -> None:
    if isinstance(fault, type) or not (hasattr(fault, "begin") and hasattr(fault, "end")):
        raise TypeError(
            f"a fault is Partition(...), Crash(...) or another of twistnet.simulation, not {fault!r}"
        )


def _has_port(end: Any, port: int | None) -> bool:
    if port is None:
        return True
    return any(isinstance(address, tuple) and address[1] == port for address in (end.local, end.remote))
