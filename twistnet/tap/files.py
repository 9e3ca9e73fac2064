"""`twistd twistnet-files`."""

from .commands import make_service
from .options import service_options

__all__ = ["Options", "makeService"]

Options = service_options("files")
makeService = make_service
