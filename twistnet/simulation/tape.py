"""The one source of chance: every choice that a network makes is read from its tape.

The rule of this module: the same seed gives the same choices in every process, and the generators of `random` and
`os.urandom` are never touched.
"""

from __future__ import annotations

from random import Random

from attrs import define, field

__all__ = ["Tape"]


@define(eq=False)
class Tape:
    """Choices, in the order in which they are asked for.

    Attributes:
        seed: What they follow from.
        choices: How many have been made.
    """

    seed: int
    choices: int = 0
    _random: Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = Random(self.seed)

    def chance(self, probability: float) -> bool:
        """Whether something happens that has this probability, 0 to 1."""
        self.choices += 1
        return self._random.random() < probability

    def uniform(self, low: float, high: float) -> float:
        """A number from `low` to `high`, each equally likely."""
        self.choices += 1
        return low + (high - low) * self._random.random()

    def normal(self, mean: float, deviation: float) -> float:
        """A number with the normal distribution."""
        self.choices += 1
        return self._random.normalvariate(mean, deviation)

    def exponential(self, mean: float) -> float:
        """A number of 0 or more with the exponential distribution."""
        self.choices += 1
        return self._random.expovariate(1.0 / mean)

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        self.choices += 1
        return self._random.randint(low, high)

    def another(self, name: str) -> Random:
        """A generator of its own for somebody else's choices, which follow from the seed and the name."""
        return Random(f"{self.seed}/{name}")
