"""The files service: a folder, over streams."""

from __future__ import annotations

from attrs import frozen
from twisted.internet.interfaces import IProtocolFactory, IReactorTime

from ...config import FLAG, OCTETS, TEXT, TIMEOUT, setting
from ...endpoints.descriptions import Description
from ...errors import ConfigurationError
from ...protocols.files.server import FilesFactory
from ...protocols.files.store import FileStore
from ..definition import ServiceDefinition

__all__ = ["FILES", "FilesOptions"]


@frozen(kw_only=True, slots=False)
class FilesOptions:
    """Options of the files service."""

    folder: str | None = setting(None, TEXT, "the folder; it must be there")
    writable: bool = setting(False, FLAG, "let files be put and removed")
    quota: int | None = setting(None, OCTETS, "what all files in the folder may have together")
    max_file_size: int | None = setting(None, OCTETS, "what one file may have")
    partial_lifetime: float = setting(
        604800.0, TIMEOUT, "how long what has not come whole is kept, to be gone on with"
    )
    anonymous: bool = setting(False, FLAG, "let other machines in without a certificate (mtls:)")

    def __attrs_post_init__(self) -> None:
        if self.folder is None:
            raise ConfigurationError("there is no folder to serve", ("folder",))
        for name in ("quota", "max_file_size"):
            if getattr(self, name) is not None and not self.writable:
                raise ConfigurationError("means nothing without writable", (name,))


def _files(options: FilesOptions, clock: IReactorTime) -> IProtocolFactory:
    folder = str(options.folder)
    try:
        store = FileStore(
            folder,
            writable=options.writable,
            quota=options.quota,
            max_file_size=options.max_file_size,
            partial_lifetime=options.partial_lifetime,
        )
    except OSError as error:
        raise ConfigurationError(f"{folder!r} cannot be served: {error.strerror}", ("folder",)) from error
    return FilesFactory(store, clock)


def _admit(options: FilesOptions, listener: Description) -> None:
    """Who is not known is let in from this machine only, unless that is what was asked for."""
    if not (options.anonymous or listener.is_local or listener.leaf == "mtls"):
        raise ValueError(
            "is open to other machines: ask them for certificates (mtls:FOLDER:PORT:ca=FILE:interface=ADDRESS), or let "
            "them in as they are, with anonymous"
        )


FILES = ServiceDefinition(
    name="files",
    description="Put, get, list and remove files under one folder.",
    listen=("tcp:7014",),
    options=FilesOptions,
    stream=_files,
    detail=lambda options: "writable" if options.writable else "read-only",
    check_listener=_admit,
)
