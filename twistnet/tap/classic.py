"""`twistd twistnet-classic`."""

from .commands import make_service
from .options import service_options

__all__ = ["Options", "makeService"]

Options = service_options("classic")
makeService = make_service
