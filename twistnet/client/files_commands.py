"""`twistnet put`, `get`, `ls` and `rm`: the files service.

The rule of this module: it reads the arguments and calls; nothing heavier than click is imported before a command runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from .durations import Duration

__all__ = ["FILES_COMMANDS"]

F = TypeVar("F", bound=Callable[..., Any])

_ENDPOINT = "ENDPOINT | HOST PORT"


def _common(command: F) -> F:
    """The options that all of them have."""
    for option in (
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            help="Tell what was done in JSON, a line each, on standard output.",
        ),
        click.option(
            "--attempts",
            type=click.IntRange(min=1),
            default=6,
            show_default=True,
            help="How often to try a transfer of which nothing moves any more.",
        ),
        click.option(
            "--timeout",
            type=Duration(),
            default="60s",
            show_default=True,
            help="How long the server may be silent.",
        ),
    ):
        command = option(command)
    return command


def _divided(words: Sequence[str], least: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is asked for, and whom: a port without a host stands for nobody, so a number at the end makes it two words."""
    last = 2 if words and words[-1].isascii() and words[-1].isdigit() else 1
    asked, target = tuple(words[:-last]), tuple(words[-last:])
    if len(target) < last or len(asked) < least:
        raise click.UsageError("an ENDPOINT, or HOST and PORT, stands last, and what is asked for before it")
    return asked, target


def _run(target: tuple[str, ...], work: Any, timeout: float, attempts: int) -> None:
    from .files_session import run_session
    from .outcome import INTERRUPTED

    try:
        sys.exit(run_session(target, work, timeout, attempts))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar=f"FILE... {_ENDPOINT}")
@click.option(
    "--to", "folder", default="", metavar="FOLDER", help="The folder of the service to put them in."
)
@click.option("--as", "name", metavar="NAME", help="What a single file is called there.")
@_common
def put(
    words: tuple[str, ...], folder: str, name: str | None, as_json: bool, timeout: float, attempts: int
) -> None:
    """Put files into the folder of a files service; "-" is standard input, which needs --as.

    Returns once they are on the server's disk. After an interruption, the same command goes on where it was.
    """
    from .files_session import put_files, spooled
    from .outcome import INTERRUPTED

    files, target = _divided(words, 1)
    if "-" in files and not name:
        raise click.UsageError("standard input has no name; give it one with --as")
    if name and len(files) > 1:
        raise click.UsageError("--as names a single file")
    try:
        sources = [(spooled() if file == "-" else file, name or Path(file).name) for file in files]
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        click.echo(f"FAILED standard input: {error.strerror}", err=True)
        sys.exit(1)
    _run(target, lambda session: put_files(session, sources, folder, as_json), timeout, attempts)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar=f"NAME... {_ENDPOINT}")
@click.option(
    "-o", "--output", metavar="PATH", help='Where to put it: a file, a folder, or "-" for standard output.'
)
@_common
def get(words: tuple[str, ...], output: str | None, as_json: bool, timeout: float, attempts: int) -> None:
    """Get files from a files service, into this folder.

    After an interruption, the same command goes on where it was.
    """
    from .files_session import get_files

    names, target = _divided(words, 1)
    if output == "-" and as_json:
        raise click.UsageError("--json and the file cannot both go to standard output")
    _run(target, lambda session: get_files(session, names, output, as_json), timeout, attempts)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar=f"[FOLDER...] {_ENDPOINT}")
@_common
def ls(words: tuple[str, ...], as_json: bool, timeout: float, attempts: int) -> None:
    """List what is in the folder of a files service, or in folders below it: size, time and name."""
    from .files_session import list_folders

    folders, target = _divided(words, 0)
    _run(target, lambda session: list_folders(session, folders or ("",), as_json), timeout, attempts)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar=f"NAME... {_ENDPOINT}")
@_common
def rm(words: tuple[str, ...], as_json: bool, timeout: float, attempts: int) -> None:
    """Remove files, or empty folders, from a files service."""
    from .files_session import remove_files

    names, target = _divided(words, 1)
    _run(target, lambda session: remove_files(session, names, as_json), timeout, attempts)


FILES_COMMANDS = (put, get, ls, rm)
