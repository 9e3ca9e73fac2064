"""All scripts, from every module of them."""

from __future__ import annotations

import importlib

from .script import SCRIPTS

__all__ = ["SCRIPTS", "TOPICS"]

TOPICS = (
    "closing",
    "aborting",
    "half_close",
    "producers",
    "reading",
    "connectors",
    "connecting",
    "listening",
    "time",
    "udp",
    "udp_addresses",
    "multicast",
    "unix",
    "unix_paths",
    "unix_datagram",
    "endpoints",
    "tls",
)
"""The modules of scripts, without `scripts_`."""

for topic in TOPICS:
    importlib.import_module(f"{__package__}.scripts_{topic}")
