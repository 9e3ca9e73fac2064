"""Policy `allow` and `deny`: who may connect at all.

The rule of this module: what is denied stays denied, whatever is allowed.
"""

from __future__ import annotations

from attrs import frozen

from ..config import Network
from ..errors import Denied, NotAllowed, PolicyViolation
from .sources import Address, contains

__all__ = ["Networks"]


@frozen
class Networks:
    """Decides by the address of the peer.

    Attributes:
        allow: Networks that may connect; empty for all.
        deny: Networks that may not, even if `allow` has them.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()

    def check(self, address: Address) -> PolicyViolation | None:
        """What forbids this address to connect, if anything does."""
        if contains(self.deny, address):
            return Denied("its network is denied")
        if self.allow and not contains(self.allow, address):
            return NotAllowed("its network is not allowed")
        return None
