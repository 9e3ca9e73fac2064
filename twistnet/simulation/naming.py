"""What a function is called, for those who read of it.

The rule of this module: a name is the same in every process, so it never tells where in memory something is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

__all__ = ["name_of"]

_PLACE = re.compile(r" at 0x[0-9a-f]+")
"""Where something is, which names made from a `repr` tell, as those of automat do."""


def name_of(function: Callable[..., object]) -> str:
    """What a function is called in its source; what is no function goes by its class."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None)
    name = name if isinstance(name, str) else type(function).__qualname__
    return _PLACE.sub("", name) if " at 0x" in name else name
