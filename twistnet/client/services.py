"""What is installed: services, their options, and which package each comes from.

The rule of this module: one that does not work does not hide the others.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import PurePath
from typing import Any, cast

import click
from attrs import asdict, field, fields, frozen
from twisted.logger import ILogObserver, LogEvent, globalLogBeginner

from ..errors import ConfigurationError
from ..services.definition import SHARED, find_service, installed_services
from ..services.option_texts import Option, described, flag, in_order, options_of
from ..transport import can_be_fast
from ..units import did_you_mean, one_line

__all__ = ["list_services"]


@frozen
class _Service:
    """One that is installed, as the list has it."""

    name: str
    package: str | None
    version: str | None
    description: str = ""
    listen: Sequence[str] = ()
    streams: bool = False
    datagrams: bool = False
    options: Sequence[dict[str, Any]] = field(factory=list)
    problem: str | None = None


def list_services(names: Sequence[str], as_json: bool) -> int:
    """Print the services that are installed, or some of them.

    Returns:
        The exit status.

    Raises:
        ValueError: There is none of that name.
    """
    with _faults() as faults:
        plugins = installed_services()
        for name in names:
            if name not in plugins:
                raise ValueError(f"there is no service {name!r}; {did_you_mean(name, plugins)}")
        installed = [_service(name, plugins[name]) for name in sorted(names or plugins)]
    told_of = [*faults, *(service.problem for service in installed if service.problem)]
    problems = list(dict.fromkeys(told_of))  # plugins are looked for more than once
    if as_json:
        told = {
            "services": [asdict(service) for service in installed],
            "every_service": [option for model in SHARED for option in _options(model)],
            "transport": "fast" if can_be_fast() else "stock",
            "problems": problems,
        }
        click.echo(json.dumps(told, indent=2, default=str))
    else:
        _show(installed)
    for problem in problems:
        click.echo(one_line(problem), err=True)
    return 1 if problems else 0


@contextmanager
def _faults() -> Iterator[list[str]]:
    """What goes wrong while plugins are looked for: Twisted logs it, and goes on."""
    faults: list[str] = []

    def observe(event: LogEvent) -> None:
        if failure := event.get("log_failure") or event.get("failure"):  # the second in a legacy event
            faults.append(_fault(failure))

    globalLogBeginner.beginLoggingTo(
        [cast("ILogObserver", observe)], discardBuffer=True, redirectStandardIO=False
    )
    yield faults


def _fault(failure: Any) -> str:
    places = [PurePath(frame[1]) for frame in failure.frames]
    if isinstance(failure.value, SyntaxError) and failure.value.filename:
        places.append(PurePath(failure.value.filename))
    dropped_in = [place for place in places if place.parent.name == "plugins"]
    what = str(dropped_in[-1]) if dropped_in else "a plugin"
    return f"{what} cannot be loaded: {type(failure.value).__name__}: {failure.value}"


def _service(name: str, plugin: Any) -> _Service:
    package, version = _package_of(getattr(plugin, "definition", None) or type(plugin).__module__)
    try:
        definition = find_service(name)
    except ConfigurationError as error:
        return _Service(name, package, version, problem=str(error))
    return _Service(
        name,
        package,
        version,
        description=definition.description,
        listen=definition.listen,
        streams=definition.stream is not None,
        datagrams=definition.datagram is not None,
        options=_options(definition.options),
    )


def _package_of(dotted: str) -> tuple[str | None, str | None]:
    """The distribution that a name comes from, and its version; or the name's first part alone, if none has it."""
    top = dotted.partition(".")[0]
    for name in (*metadata.packages_distributions().get(top, ()), top):
        try:
            return name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return top, None


def _options(model: type) -> list[dict[str, Any]]:
    return [
        {
            "name": option.name,
            "option": flag(option.name),
            "takes": option.kind.metavar or None,
            "repeats": option.kind.repeats,
            "default": attribute.default,
            "help": option.help,
        }
        for attribute, option in zip(fields(model), options_of(model), strict=True)
    ]


def _show(installed: Sequence[_Service]) -> None:
    width = min(shutil.get_terminal_size().columns, 110)
    for service in installed:
        package = f"{service.package} {service.version or ''}".strip()
        click.echo(f"{click.style(service.name, bold=True)}  ({one_line(package)})")
        if service.problem:
            click.echo("  cannot be loaded\n")
            continue
        kinds = {"streams": service.streams, "datagrams": service.datagrams}
        answers = " and ".join(word for word, answered in kinds.items() if answered)
        click.echo(f"  {one_line(service.description)}")
        click.echo(f"  Answers {answers}; on {', '.join(service.listen)} unless told otherwise.")
        _show_options(options_of(find_service(service.name).options), width)
        click.echo()
    click.echo(click.style("every service", bold=True))
    fast = (
        "twistnet's fast transports"
        if can_be_fast()
        else "Twisted's own transports: the fast ones need Linux"
    )
    click.echo(f"  Listens through {fast}.")
    _show_options(in_order(option for model in SHARED for option in options_of(model)), width)


def _show_options(options: Iterable[Option], width: int) -> None:
    for option in options:
        click.echo("\n".join(described(option, width)))
