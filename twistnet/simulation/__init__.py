"""A network in memory: any Twisted code, unmodified, on simulated hosts, in virtual time, with faults.

    clock       virtual time: what is on its way, and what waits for its time
    kernel/     sockets as the kernel shows them: buffers, errno, FIN, RST, backlog, ports. No Twisted import
    link        one direction of one path; conditions: what it does to packets; slicing: how streams are cut
    network     hosts, links, names; faulting: what goes wrong with them; running: run, advance, settle
    reactor     a host is a reactor; readiness: what it watches; opening: what it listens on and connects to
    transports  Twisted's own, over simulated sockets
    trace       what happened: a sequence diagram, a capture for Wireshark
    planned     what goes wrong and when, as data; plans: such data, drawn by hypothesis
    plugin      the pytest plugin; trial: the same for trial's cases

This room stands apart: it imports Twisted, the errors and the units, and nothing but tests and users import it. Names are
imported when they are first used, because pytest imports the plugin in every run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..errors import Deadlock, ErrorsLogged, Livelock, SimulationError, WrongReactor
    from .conditions import Exponential, GilbertElliott, Independent, LinkConfig, Normal, Uniform
    from .factory import reactor_factory
    from .faults import (
        BlackHole,
        Crash,
        Degrade,
        Fault,
        Hold,
        NamesFail,
        NamesSilent,
        NamesSlow,
        Partition,
        Refuse,
        Reset,
        Skew,
    )
    from .kernel import KernelConfig
    from .links import Link
    from .network import Network
    from .packets import ACK, FIN, PSH, RST, SYN, Endpoint, Fate, Packet, Transport
    from .planned import Plan, Planned
    from .reactor import Host
    from .slicing import CutAt, Fixed, OneByte, RandomSizes
    from .trace import Kind, Note, Trace

_HOMES = {
    "..errors": ("Deadlock", "ErrorsLogged", "Livelock", "SimulationError", "WrongReactor"),
    ".factory": ("reactor_factory",),
    ".faults": (
        "BlackHole",
        "Crash",
        "Degrade",
        "Fault",
        "Hold",
        "NamesFail",
        "NamesSilent",
        "NamesSlow",
        "Partition",
        "Refuse",
        "Reset",
        "Skew",
    ),
    ".kernel": ("KernelConfig",),
    ".conditions": ("Exponential", "GilbertElliott", "Independent", "LinkConfig", "Normal", "Uniform"),
    ".links": ("Link",),
    ".network": ("Network",),
    ".packets": ("ACK", "FIN", "PSH", "RST", "SYN", "Endpoint", "Fate", "Packet", "Transport"),
    ".planned": ("Plan", "Planned"),
    ".reactor": ("Host",),
    ".slicing": ("CutAt", "Fixed", "OneByte", "RandomSizes"),
    ".trace": ("Kind", "Note", "Trace"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ACK",
    "FIN",
    "PSH",
    "RST",
    "SYN",
    "BlackHole",
    "Crash",
    "CutAt",
    "Deadlock",
    "Degrade",
    "Endpoint",
    "ErrorsLogged",
    "Exponential",
    "Fate",
    "Fault",
    "Fixed",
    "GilbertElliott",
    "Hold",
    "Host",
    "Independent",
    "KernelConfig",
    "Kind",
    "Link",
    "LinkConfig",
    "Livelock",
    "NamesFail",
    "NamesSilent",
    "NamesSlow",
    "Network",
    "Normal",
    "Note",
    "OneByte",
    "Packet",
    "Partition",
    "Plan",
    "Planned",
    "RandomSizes",
    "Refuse",
    "Reset",
    "SimulationError",
    "Skew",
    "Trace",
    "Transport",
    "Uniform",
    "WrongReactor",
    "reactor_factory",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOME_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
