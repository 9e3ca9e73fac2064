"""The options of the commands, derived from the fields of the configuration.

The rule of this module: whatever is wrong with a command line ends the program with one line on standard error and status 2.
"""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from twisted.python.usage import Options, UsageError

from .._version import __version__
from ..config import Kind
from ..errors import ConfigurationError
from ..services.definition import find_service
from ..services.node import NodeConfig, make_node
from ..services.option_texts import Option, described, flag, in_order, options_of
from ..units import did_you_mean
from .process import Exit, refuse_second_twistd, speak_utf8

__all__ = ["CommandOptions", "service_options"]

LOG_FILE = Option("log_file", Kind(str, "FILE"), "write the log to this file too, in UTF-8", "Logging")


class CommandOptions(Options):
    """What the commands have in common; a subclass has an `opt_` method for each of its options."""

    command = "twistnet"
    offered: tuple[Option, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, Any] = {}
        self.node: NodeConfig | None = None

    def take(self, option: Option, value: Any) -> None:
        """Note the value of an option; the last one counts, or all of them where it may be repeated."""
        if option.kind.repeats:
            self.given.setdefault(option.name, []).append(value)
        else:
            self.given[option.name] = value

    def make_node(self) -> NodeConfig:
        """The node that the options ask for; raises `ConfigurationError`."""
        raise AssertionError("a command says what its node is")

    def parseOptions(self, options: Any = None) -> None:
        """Parse; whatever is wrong ends the program with status 2 and one line."""
        try:
            super().parseOptions(options)
        except UsageError as error:
            self.fail(self._with_hint(str(error)))

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            raise UsageError(f"unexpected argument {arguments[0]!r}; see --help")

    def postOptions(self) -> None:
        speak_utf8(self.parent)
        try:
            self.node = self.make_node()
        except ConfigurationError as error:
            self.fail(self.as_option(error))
        refuse_second_twistd(self.parent, self.name)

    def fail(self, problem: str) -> NoReturn:
        """End the program."""
        raise Exit(2, f"{self.name}: {problem}")

    @property
    def name(self) -> str:
        """What the command is called, and what its errors begin with."""
        return getattr(self.parent, "subCommand", None) or self.command

    def opt_version(self) -> NoReturn:
        """Show the version."""
        sys.stdout.write(f"twistnet {__version__}\n")
        sys.exit(0)

    def opt_help(self) -> NoReturn:
        """Show this text."""
        sys.stdout.write(f"{self.getUsage()}\n")
        sys.exit(0)

    def getUsage(self, width: int | None = None) -> str:
        """The text of `--help`: the options under the headings of their groups."""
        width = width or min(shutil.get_terminal_size().columns, 110)
        lines = [
            f"Usage: {self.getSynopsis().removeprefix('Usage: ')}",
            "",
            inspect.cleandoc(self.__doc__ or ""),
        ]
        for group in dict.fromkeys(option.group for option in self.offered):
            lines += ["", f"{group}:"]
            for option in self.offered:
                if option.group == group:
                    lines += described(option, width)
        lines += [
            "",
            "Durations: 500ms, 5s, 2m, 1h, or seconds. Sizes: 64KiB, 1MB, or bytes. Also: --help, --version.",
        ]
        return "\n".join(lines)

    def _with_hint(self, problem: str) -> str:
        """getopt's complaint, with the nearest option where it knows none of that name."""
        words = problem.split()
        if problem.endswith("not recognized") and words[1].startswith("--"):
            known = [f"--{name.removesuffix('=')}" for name in self.longOpt]
            return f"unknown option {words[1]}; {did_you_mean(words[1], known)}"
        return problem

    def as_option(self, error: ConfigurationError) -> str:
        """A configuration error, with the option that it came from in place of the path to the key."""
        if error.source or not error.path:
            return str(error)
        name = error.path[-1].partition("[")[0]
        return f"{flag(name)}: {error.problem}" if hasattr(self, f"opt_{name}") else str(error)


def add_methods(command: type[CommandOptions], options: Iterable[Option]) -> None:
    """Give a command the methods by which twisted's parser learns of options, and which it calls for each."""

    def method(option: Option) -> Any:
        if option.kind.metavar:
            return lambda self, value: self.take(option, value)
        return lambda self: self.take(option, True)

    for option in options:
        setattr(command, f"opt_{option.name}", method(option))


def service_options(name: str) -> type[CommandOptions]:
    """The options of the command that runs one service.

    Raises:
        ConfigurationError: No such service is installed.
    """
    definition = find_service(name)
    offered = (*options_of(definition.settings), LOG_FILE)

    class ServiceOptions(CommandOptions):
        command = f"twistnet-{name}"
        __doc__ = f"{definition.description}\nServes on {', '.join(definition.listen)} unless told otherwise."

        def make_node(self) -> NodeConfig:
            log_file = self.given.pop("log_file", None)
            return make_node({name: self.given}, log_file=log_file)

    ServiceOptions.offered = in_order(offered)
    add_methods(ServiceOptions, offered)
    return ServiceOptions
