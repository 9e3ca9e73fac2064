"""What it means that nothing was answered.

The rule of this module: whoever measures a service and has no answer is told so, and why, as far as that is known.
"""

from __future__ import annotations

from ..outcome import NetworkProblem
from .measurement import Measurement
from .plan import Plan

__all__ = ["check_answered"]


def check_answered(shown: str, plan: Plan, measurement: Measurement) -> None:
    """See whether a measurement that came to its end has an answer in it.

    Args:
        shown: Whom it measured.
        plan: What was asked for.
        measurement: What was counted.

    Raises:
        NetworkProblem: It has none.
    """
    if measurement.answered:
        return
    if not measurement.replies + measurement.others:
        what = "no whole answer by the end, nor" if measurement.unanswered else "no answer"
        raise NetworkProblem("TIMEOUT", f"{shown}: {what} within {plan.timeout:g} s")
    if measurement.due:
        raise NetworkProblem("TIMEOUT", f"{shown}: no answer within {plan.timeout:g} s to what was measured")
    measured = f"in the {plan.duration:g} s that were measured"
    if plan.rate:
        raise NetworkProblem(
            "FAILED", f"{shown}: no request fell due {measured}: --rate is {plan.rate:g} a second"
        )
    raise NetworkProblem(
        "FAILED", f"{shown}: no request was sent {measured}: those of the warm-up took all of them"
    )
