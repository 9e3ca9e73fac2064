"""The same scripts on one simulated host, in virtual time.

The rule of this module: the host is a reactor like any other; paths are real, so that scripts may look at their nodes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from twistnet.simulation import Network

from .script import Script
from .world import World, perform

__all__ = ["SimulatedWorld", "simulate"]


class SimulatedWorld(World):
    """A world in which waiting costs nothing."""

    step = 0.5
    calm = 3


def simulate(script: Script) -> list[Any]:
    """The events of a script on a simulated host."""
    with tempfile.TemporaryDirectory() as folder, Network(seed=1) as net:
        world = SimulatedWorld(net.host("here", files="real"), Path(folder))
        if not script.logs:
            return net.run(perform(script, world))
        with net.expected_errors(*script.logs):
            return net.run(perform(script, world))
