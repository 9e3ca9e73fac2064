"""What the commands of the files service do, one file after the other.

The rule of this module: what one file meets is a line on standard error that begins with one word, and the others still have
their turn; what the network does ends them all.
"""

from __future__ import annotations

import json
import os
import posixpath
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import click
from attrs import asdict, frozen
from twisted.internet.threads import deferToThreadPool

from ..errors import FilesError
from ..protocols.files.client import FilesClient
from ..units import one_line
from ..wire.file_messages import Entry, Stored
from .outcome import BROKEN_PIPE, NetworkProblem, network_problems, run
from .progress import Bars
from .standard_output import OutputClosed, StandardOutput
from .targets import stream_target

__all__ = ["Session", "get_files", "list_folders", "put_files", "remove_files", "run_session", "spooled"]


@frozen
class Session:
    """What a command has to work with."""

    client: FilesClient
    bars: Bars
    reactor: Any


_NAMELESS = {"busy", "changed", "digest-mismatch", "no-file"}

Work: TypeAlias = Callable[[Session], Coroutine[Any, Any, int]]


def run_session(target: Sequence[str], work: Work, timeout: float, attempts: int) -> int:
    """Do some work with a service; the exit status.

    Raises:
        ValueError: The target is none.
    """

    async def session(reactor: Any) -> int:
        endpoint = stream_target(reactor, target)
        client = FilesClient(reactor, endpoint, timeout=timeout, attempts=attempts)
        bars = Bars(reactor)
        with network_problems(" ".join(target), timeout):
            try:
                status = await work(Session(client, bars, reactor))
            except OutputClosed:
                return BROKEN_PIPE
            finally:
                bars.stop()
            await client.close()
            return status

    return run(session)


async def put_files(
    session: Session, files: Sequence[tuple[str | BinaryIO, str]], folder: str, as_json: bool
) -> int:
    """Put files, each under a name, into a folder; the exit status."""
    sources = {posixpath.join(folder, name): source for source, name in files}
    if len(sources) < len(files):
        raise ValueError("two of the files have the same name")

    async def put(name: str) -> None:
        stored = await session.client.put(sources[name], name, progress=session.bars.of(name))
        _tell("stored", name, stored, as_json)

    return await _each(tuple(sources), put)


async def get_files(session: Session, names: Sequence[str], output: str | None, as_json: bool) -> int:
    """Get files; the exit status."""
    several = len(names) > 1 and output != "-"
    if several and output and not Path(output).is_dir():
        raise ValueError(f"{output!r} is no folder for {len(names)} files")

    async def get(name: str) -> None:
        target = _target_of(session, name, output)
        if isinstance(target, StandardOutput):
            await deferToThreadPool(session.reactor, session.reactor.getThreadPool(), target.open)
        stored = await session.client.get(name, target, progress=session.bars.of(name))
        _tell("got", name, stored, as_json)

    return await _each(names, get)


def _target_of(session: Session, name: str, output: str | None) -> Any:
    if output == "-":
        return StandardOutput(session.reactor)
    last = posixpath.basename(name)
    path = Path(last if output is None else output)
    if output is not None and path.is_dir():
        path /= last
    # To replace a device or a pipe would be to remove it.
    special = path.exists() and not path.is_file() and not path.is_dir()
    return StandardOutput(session.reactor, path) if special else path


async def list_folders(session: Session, folders: Sequence[str], as_json: bool) -> int:
    """List folders; the exit status."""

    async def show(folder: str) -> None:
        entries = await session.client.list(folder)
        if len(folders) > 1 and not as_json:
            _print(f"{one_line(folder)}:")
        for entry in entries:
            _print(json.dumps({"in": folder, **asdict(entry)}) if as_json else _line_of(entry))

    return await _each(folders, show)


async def remove_files(session: Session, names: Sequence[str], as_json: bool) -> int:
    """Remove files; the exit status."""

    async def remove(name: str) -> None:
        await session.client.remove(name)
        if as_json:
            _print(json.dumps({"did": "removed", "name": name}))
        else:
            click.echo(f"removed {one_line(name)}", err=True)

    return await _each(names, remove)


async def _each(names: Sequence[str], work: Callable[[str], Coroutine[Any, Any, None]]) -> int:
    """Do something for each name; 1 if anything was refused."""
    status = 0
    for name in names:
        try:
            await work(name)
        except FilesError as problem:
            click.echo(f"{problem.code.upper()} {one_line(_named(name, problem))}", err=True)
            status = 1
    return status


def _named(name: str, problem: FilesError) -> str:
    """What a problem says, after the name of the file if it is one of those that do not name it themselves."""
    said = (f"{name}: ", f"{posixpath.basename(name)}: ")
    names_it = problem.text.startswith(said) or problem.text.endswith(", here")
    return problem.text if names_it or problem.code not in _NAMELESS else f"{name}: {problem.text}"


def _tell(did: str, name: str, stored: Stored, as_json: bool) -> None:
    if as_json:
        _print(json.dumps({"did": did, "name": name, "size": stored.size, "sha256": stored.digest}))
    else:
        click.echo(f"{did} {one_line(name)}: {stored.size} octets", err=True)


def _print(line: str) -> None:
    """Write a line to standard output, whose failure is not the network's."""
    data = f"{line}\n".encode(errors="replace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:
        raise OutputClosed from None
    except OSError as error:
        raise NetworkProblem("FAILED", f"standard output: {error.strerror}", error.errno) from error


def _line_of(entry: Entry) -> str:
    modified = datetime.fromtimestamp(entry.modified).astimezone()
    size = "-" if entry.folder else str(entry.size)
    return f"{size:>14}  {modified:%Y-%m-%d %H:%M:%S}  {one_line(entry.name)}{'/' if entry.folder else ''}"


def spooled() -> BinaryIO:
    """Standard input, in a file without a name: its length comes first, so all of it must be there.

    Raises:
        OSError: It cannot be read.
    """
    spool: Any = tempfile.TemporaryFile()  # noqa: SIM115 - it is read until the file is stored
    with open(0, "rb", closefd=False) as standard_input:
        while piece := standard_input.read(1 << 20):
            spool.write(piece)
    spool.flush()
    return spool  # type: ignore[no-any-return]
