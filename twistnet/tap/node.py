"""`twistd twistnet`."""

from .commands import make_service
from .node_options import NodeOptions

__all__ = ["Options", "makeService"]

Options = NodeOptions
makeService = make_service
