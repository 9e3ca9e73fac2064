"""How many connections a process can have: each is an open file.

The rule of this module: what cannot be is known before anything is opened.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

__all__ = ["allow_connections"]

_OTHERS = 16
"""Files that are opened besides: the reactor's own, timers, modules that are read at the end."""

_OPEN_FILES = Path("/dev/fd")


def allow_connections(number: int) -> None:
    """Allow as many open files as the system's hard limit does, and see whether they are enough.

    Raises:
        ValueError: They are not.
    """
    try:
        import resource
    except ImportError:  # not on every system
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _opened() - _OTHERS
    if hard != resource.RLIM_INFINITY and number > room:
        raise ValueError(
            f"--connections {number}: no more than {max(0, room)} are possible, for the limit of open files is {hard} (ulimit -Hn)"
        )


def _opened() -> int:
    """How many are open; none, where that cannot be seen."""
    with suppress(OSError):
        return len(list(_OPEN_FILES.iterdir()))
    return 0
