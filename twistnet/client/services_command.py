"""`twistnet services`: what is installed.

The rule of this module: it reads the arguments and calls; nothing heavier than click is imported before the command runs.
"""

from __future__ import annotations

import sys

import click

__all__ = ["services"]


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option(
    "--json", "as_json", is_flag=True, help="Tell it in JSON: one object, of services and of what all have."
)
def services(names: tuple[str, ...], as_json: bool) -> None:
    """List the services that are installed: what each does, where it listens, its options and their defaults.

    Each is run as twistd -n twistnet --service NAME, the built-in ones as twistd -n twistnet-NAME too. The options that
    all of them have come last.

    The exit status is 1 if a service cannot be loaded; standard error says why, and the others are listed.
    """
    from .services import list_services

    try:
        sys.exit(list_services(names, as_json))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
