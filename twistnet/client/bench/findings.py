"""What came of it: for programs, for a person, and what either should know of it.

The rule of this module: one set of names and figures, in seconds and octets, of which everything that is shown is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from .latencies import Distribution
from .measurement import LATE, Measurement
from .plan import Plan

__all__ = ["Findings", "shown_octets", "shown_time"]

_BUSY = 0.9
"""Of the time, from which on the generator may be what limits."""

_OFTEN = 0.01
"""Of all requests, from which on it is worth saying."""


@frozen(kw_only=True)
class Findings:
    """What was measured, and of what.

    Attributes:
        target: Whom.
        plan: What was asked for.
        measurement: What was counted.
        latency: How long replies took, if any came.
        problem: Why it ended early, if it did.
    """

    target: str
    plan: Plan
    measurement: Measurement
    latency: Distribution | None
    problem: str | None

    @classmethod
    def of(cls, target: str, plan: Plan, measurement: Measurement, problem: str | None) -> Findings:
        """What is known by now."""
        latency = measurement.latencies.distribution()
        return cls(target=target, plan=plan, measurement=measurement, latency=latency, problem=problem)

    @property
    def is_begun(self) -> bool:
        """Whether there is anything to show: something was sent, and not refused at once, as a datagram is."""
        refused = self.problem is not None and self.problem.startswith("REFUSED ")
        measured = self.measurement
        return measured.begun and not (refused and not measured.replies + measured.others)

    @property
    def throughput(self) -> Sequence[tuple[float, float]]:
        """Pairs of a time and the replies a second around it."""
        return self.measurement.throughput.points(self.measurement.begin)

    def warnings(self) -> Iterator[str]:
        """Why the figures may say less of the server than they seem to."""
        measured = self.measurement
        often = measured.due * _OFTEN
        busy = measured.busy or 0.0
        if busy >= _BUSY:
            yield (
                f"the generator was busy, or waited for a processor, for {busy:.0%} of the time: it may have been the "
                "limit, and not the server; run several at once, on other processors than the server"
            )
        if measured.pace.late > often:
            yield (
                f"the generator fell behind its own schedule: {measured.pace.late} requests were late by {LATE * 1000:g} ms "
                f"or more, the latest by {shown_time(measured.pace.worst)}; the latencies contain that"
            )
        if measured.waiting > often:
            why = self._what_filled_the_window(generator_was_slow=busy >= _BUSY or measured.pace.late > often)
            yield (
                f"{measured.waiting} of {measured.due} requests could not be sent by the end, because --window was full: {why}; "
                "they count with the time that they had waited"
            )
        if measured.unanswered and self.problem is None:
            yield f"{measured.unanswered} requests had no whole reply {self.plan.timeout:g} s after the end"
        if measured.lost and measured.answered:
            yield (
                f"{measured.lost} datagrams, or the replies to them, were lost; if the peer is a twistnet service, its guard "
                "drops what exceeds packet_rate: start it with --guard off to measure it"
            )

    def _what_filled_the_window(self, *, generator_was_slow: bool) -> str:
        whys = []
        if generator_was_slow:
            whys.append("the generator was too slow itself")
        if self.measurement.lost:
            whys.append(f"each lost datagram holds a place in it for {self.plan.timeout:g} s (--timeout)")
        if whys:
            return f"{' and '.join(whys)}, so nothing is known of whether the server keeps up with --rate"
        return "the server does not keep up with --rate"

    def as_data(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        measured = self.measurement
        return {
            "target": self.target,
            "settings": self.plan.settings(),
            "seconds": measured.seconds,
            "requests": {
                "answered": measured.answered,
                "lost": measured.lost,
                "late_or_repeated": measured.stray,
                "unanswered": measured.unanswered,
                "not_sent": measured.waiting,
            },
            "requests_per_second": measured.rate,
            "octets_per_second": measured.rate * self.plan.size,
            "latency": self._latency(),
            "throughput": [list(point) for point in self.throughput],
            "generator": {
                "busy": measured.busy,
                "late": measured.pace.late,
                "latest": measured.pace.worst,
            },
            "warnings": list(self.warnings()),
            "problem": self.problem,
        }

    def _latency(self) -> dict[str, Any] | None:
        if self.latency is None:
            return None
        return {
            "count": self.latency.count,
            "least": self.latency.least,
            "mean": self.latency.mean,
            "deviation": self.latency.deviation,
            "most": self.latency.most,
            "percentiles": {f"{key:g}": value for key, value in self.latency.percentiles.items()},
        }

    def headline(self) -> str:
        """What was asked for, in a sentence."""
        plan = self.plan
        loop = f"open loop, {plan.rate:,.12g} a second" if plan.rate else "closed loop"
        return (
            f"{plan.connections} {'connection' if plan.connections == 1 else 'connections'}, "
            f"{shown_octets(plan.size)} a request, window {plan.window}, {loop}, "
            f"{self._time()} {plan.warm_up:g} s of warm-up"
        )

    def _time(self) -> str:
        seconds = self.measurement.seconds
        return f"{seconds:.4g} s after" if seconds else "ended in the"

    def rows(self) -> Iterator[tuple[str, str]]:
        """Names and figures, as a person reads them."""
        measured, latency = self.measurement, self.latency
        yield "requests a second", f"{measured.rate:,.1f}"
        yield "octets a second", f"{shown_octets(measured.rate * self.plan.size)} each way"
        yield "answered", f"{measured.answered:,}"
        for name, number in (
            ("lost", measured.lost),
            ("late or repeated", measured.stray),
            ("unanswered", measured.unanswered),
            ("not sent", measured.waiting),
        ):
            if number:
                yield name, _share(number, measured)
        if latency is not None:
            yield "latency, least", shown_time(latency.least)
            yield "mean", f"{shown_time(latency.mean)} ± {shown_time(latency.deviation)}"
            for percentage, value in latency.percentiles.items():
                yield f"{percentage:g} %", shown_time(value)
            yield "most", shown_time(latency.most)
        if measured.busy:
            yield "generator busy", f"{measured.busy:.0%}, or waiting for a processor"

    def as_text(self) -> str:
        """All of it, for a terminal."""
        rows = list(self.rows())
        wide = max(len(name) for name, _ in rows)
        lines = (f"{name:>{wide}}  {figure}" for name, figure in rows)
        return "\n".join([f"{self.target}: {self.headline()}", *lines])


def _share(number: int, measured: Measurement) -> str:
    return f"{number:,} ({number / max(measured.due, 1):.2%})"


def shown_time(seconds: float) -> str:
    """A latency, to three figures."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:,.3g} s" if seconds < 999.5 else f"{seconds:,.0f} s"


def shown_octets(octets: float) -> str:
    """Octets, to three figures or exactly."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if octets >= factor * 10:
            return (
                f"{octets / factor:,.3g} {unit}"
                if octets < factor * 999.5
                else f"{octets / factor:,.0f} {unit}"
            )
    return f"{octets:,.0f} octet{'s' * (round(octets) != 1)}"
