"""`twistd twistnet-console`."""

from .commands import make_service
from .options import service_options

__all__ = ["Options", "makeService"]

Options = service_options("console")
makeService = make_service
