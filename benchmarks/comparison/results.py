"""What was measured, and what is said of it: medians over the rounds, and the medians of the ratios within each round.

A machine that is busy with something else for a while slows down all servers of that while, and leaves such ratios alone.
"""

from __future__ import annotations

from statistics import fmean, median

from attrs import Factory, define

from benchmarks.comparison.scenarios import Scenario

Sample = dict[str, float]
DISTURBED = 0.03
"""What share of its time a server or the generator may wait for its processor before the figures are said to be disturbed."""


def disturbance(sample: Sample) -> float:
    """The share of the time that the server, or the generator, waited for its processor while something else had it.

    Whoever has waited all the while has not been told yet for how long: nothing was answered.
    """
    if sample.get("requests") == 0:
        return 1.0
    return max(sample.get("server_waited", 0.0), sample.get("generator_waited", 0.0))


def number(value: float | None, digits: int) -> str:
    """As a cell shows it."""
    return "-" if value is None else f"{value:,.{digits}f}"


@define
class Outcome:
    """Of one scenario: for each server what each round has shown, or why it has failed.

    Attributes:
        scenario: what was done.
        samples: round by round; as many of each server.
        failures: of those that have failed, and have no samples.
    """

    scenario: Scenario
    samples: dict[str, list[Sample]] = Factory(dict)
    failures: dict[str, str] = Factory(dict)

    def add(self, server: str, sample: Sample) -> None:
        """One more round of a server."""
        self.samples.setdefault(server, []).append(sample)

    def fail(self, server: str, why: str) -> None:
        """A server has failed: what it has shown before is left out."""
        self.samples.pop(server, None)
        self.failures[server] = why

    def values(self, server: str, key: str) -> list[float]:
        """One of the figures, round by round; none if the server does not report it."""
        return [sample[key] for sample in self.samples.get(server, []) if key in sample]

    def median(self, server: str, key: str) -> float | None:
        """The median over the rounds."""
        values = self.values(server, key)
        return median(values) if values else None

    def ratio(self, server: str, reference: str, key: str) -> float | None:
        """The median of the ratios of two servers within a round."""
        pairs = zip(self.samples.get(server, []), self.samples.get(reference, []), strict=False)
        ratios = [one[key] / other[key] for one, other in pairs if key in one and other.get(key)]
        return median(ratios) if ratios else None

    def rounds(self) -> int:
        """How many of them every server has been measured in that did not fail."""
        return min((len(samples) for samples in self.samples.values()), default=0)

    def disturbance(self) -> float:
        """How disturbed the measurements were, on the average."""
        return fmean(
            [disturbance(sample) for samples in self.samples.values() for sample in samples] or [0.0]
        )

    def as_json(self) -> dict[str, object]:
        """What a program reads."""
        return {
            "name": self.scenario.name,
            "title": self.scenario.title,
            "ratios_of": self.scenario.measures[0].key,
            "samples": self.samples,
            "failures": self.failures,
        }
