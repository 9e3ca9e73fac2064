"""The pytest plugin: a simulated network as a fixture, and how to see a failure again.

The rule of this module: pytest loads it in everybody's runs, so it imports nothing of Twisted until a test asks for a
network; and whatever fails says the one command with which it fails again.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ..units import did_you_mean, parse_whole

if TYPE_CHECKING:
    from .network import Network

__all__ = ["network", "network_seed"]

SETTINGS = ("link", "patience", "seed", "trace")
MOST_SEEDS = 1_000_000
INI = {
    "network_seed": ("the first seed of tests that use `network`", "0"),
    "network_seeds": ("how many seeds each test that uses `network` runs with", "1"),
    "network_trace_lines": ("how much of its trace a failed test shows, in records", "40"),
}
MARKER = (
    "network(link=None, seed=0, trace=None, patience=10_000_000): "
    "settings of the `network` fixture, as `twistnet.simulation.Network` takes them"
)


class _Options(NamedTuple):
    """What was asked for; `seed` is `None` unless the command line gave it."""

    seed: int | None
    default_seed: int
    seeds: int
    trace_lines: int


class _TestFailed(Exception):
    """Tells the network that it need not look for more errors."""


_OPTIONS = pytest.StashKey[_Options]()
_NETWORK = pytest.StashKey["Network"]()
_FAILED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the settings of pytest.ini."""
    group = parser.getgroup("network", "simulated networks")
    group.addoption(
        "--network-seed", metavar="N", help="run tests that use `network` with this seed (default: 0)"
    )
    group.addoption(
        "--network-seeds", metavar="K", help="run each of them K times, with the seeds N to N+K-1"
    )
    for name, (meaning, default) in INI.items():
        parser.addini(name, meaning, default=default)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and register the marker."""
    config.addinivalue_line("markers", MARKER)
    given = config.getoption("--network-seed")
    seeds = config.getoption("--network-seeds")
    config.stash[_OPTIONS] = _Options(
        seed=None if given is None else _whole("--network-seed", given),
        default_seed=_whole("network_seed", config.getini("network_seed")),
        seeds=_seeds_in_ini(config) if seeds is None else _whole("--network-seeds", seeds, 1, MOST_SEEDS),
        trace_lines=_whole("network_trace_lines", config.getini("network_trace_lines")),
    )


def _seeds_in_ini(config: pytest.Config) -> int:
    return _whole("network_seeds", config.getini("network_seeds"), 1, MOST_SEEDS)


def _whole(name: str, value: object, *bounds: int) -> int:
    try:
        return parse_whole(value, *bounds)
    except ValueError as error:
        raise pytest.UsageError(f"{name}: {error}") from None


# Seeds


@pytest.hookimpl(trylast=True)  # so that the seed is the last part of the test's id
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each seed."""
    seeds = metafunc.config.stash[_OPTIONS].seeds
    if seeds > 1 and "network_seed" in metafunc.fixturenames and not _chooses_seeds(metafunc.definition):
        first = _first_seed(metafunc.definition)
        metafunc.parametrize("network_seed", range(first, first + seeds), ids="seed={}".format, indirect=True)


def _chooses_seeds(node: pytest.Item) -> bool:
    """Whether a test is parametrised with seeds of its own."""
    return any("network_seed" in str(mark.args[:1]) for mark in node.iter_markers("parametrize"))


def _first_seed(node: pytest.Item) -> int:
    options, marked = node.config.stash[_OPTIONS], _settings(node).get("seed")
    if options.seed is not None:
        return options.seed
    return marked if isinstance(marked, int) else options.default_seed


@pytest.fixture
def network_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test's `network`: from the command line, the closest mark or the configuration, in that order."""
    seed: int = request.param if hasattr(request, "param") else _first_seed(request.node)
    return seed


# Settings


def _settings(node: pytest.Item) -> dict[str, Any]:
    """The settings of a test: of those that several marks give, the closest mark's."""
    settings: dict[str, Any] = {}
    for mark in node.iter_markers("network"):
        settings = {**mark.kwargs, **settings}
    return settings


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See before any test runs whether the marks make sense, of those that use the fixture: others may mean theirs."""
    for item in items:
        if "network_seed" in getattr(item, "fixturenames", ()):
            _check_marks(item)


def _check_marks(item: pytest.Item) -> None:
    problem = next((found for mark in item.iter_markers("network") if (found := _problem(mark))), None)
    if problem is not None:
        raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.network: {problem}")


def _problem(mark: pytest.Mark) -> str | None:
    if mark.args:
        return f"takes settings by their names ({', '.join(SETTINGS)}), not {mark.args[0]!r}"
    for name, value in mark.kwargs.items():
        if name not in SETTINGS:
            return f"there is no setting {name!r}: {did_you_mean(name, SETTINGS)}"
        try:
            CHECKS[name](value)
        except (TypeError, ValueError) as error:
            return f"{name}: {error.args[0]}"
    return None


def _check_link(link: Any) -> None:
    from attrs import fields_dict

    from .link import LinkConfig

    if isinstance(link, dict):
        known = fields_dict(LinkConfig)
        for name in link.keys() - known.keys():
            raise ValueError(f"there is no field {name!r}: {did_you_mean(str(name), known)}")
        LinkConfig(**link)
    elif not isinstance(link, LinkConfig | None):
        raise TypeError(f"must be a LinkConfig, or a dictionary of its fields, not {link!r}")


def _check_trace(trace: Any) -> None:
    from .trace import Trace

    if not isinstance(trace, Trace | None):
        raise TypeError(f"must be a Trace, whose limits each test's own will have, not {trace!r}")


CHECKS: dict[str, Callable[[Any], object]] = {
    "link": _check_link,
    "patience": lambda patience: parse_whole(patience, 1),
    "seed": parse_whole,
    "trace": _check_trace,
}


# The network


@pytest.fixture
def network(request: pytest.FixtureRequest, network_seed: int) -> Iterator[Network]:
    """A simulated network of this test's own, for whose hosts the global reactor stands meanwhile.

    `@pytest.mark.network(link=..., seed=..., trace=..., patience=...)` on the test, its class or its module sets what
    `twistnet.simulation.Network` takes. The test may be an `async def`, which the network runs. A test that has passed
    fails nevertheless if anything has gone wrong unnoticed: an error was logged, or a Deferred has failed with nobody
    listening.
    """
    from ..errors import ErrorsLogged
    from .network import Network

    _check_marks(request.node)
    made = request.node.stash[_NETWORK] = Network(network_seed, **_own(_settings(request.node)))
    request.node.stash[_FAILED] = False
    unnoticed = ""
    try:
        with suppress(_TestFailed), made:
            yield made
            if request.node.stash[_FAILED]:
                raise _TestFailed
    except ErrorsLogged as error:
        unnoticed = str(error)
    if unnoticed:
        pytest.fail(unnoticed, pytrace=False)


def _own(settings: dict[str, Any]) -> dict[str, Any]:
    """What goes to `Network` beside the seed; a mark's trace serves many tests, and lends each its limits alone."""
    from attrs import evolve

    settings = {name: value for name, value in settings.items() if name != "seed"}
    if settings.get("trace") is not None:
        settings["trace"] = evolve(settings["trace"])
    return settings


@pytest.hookimpl(tryfirst=True)  # before plugins that run tests on the real reactor, which is lent
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that has a network; if it is a coroutine or returns a Deferred, the network runs that."""
    running = pyfuncitem.stash.get(_NETWORK, None)
    if running is None:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    returned = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    if isinstance(returned, Awaitable):
        running.run(returned)
    elif returned is not None:
        pytest.fail(f"a test returns nothing or something to wait for, not {returned!r}", pytrace=False)
    return True


# What a failure shows


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: what was expected to fail is no failure by then
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say how to see a failure again, and what happened on the network before it."""
    report = yield
    found = _network_of(item) if report.failed and not item.stash.get(_FAILED, False) else None
    if found is not None:
        report.sections.append(("network", _described(item, found)))
    if call.excinfo is not None and _NETWORK in item.stash:
        item.stash[_FAILED] = True
    if call.when == "teardown" and _NETWORK in item.stash:
        del item.stash[_NETWORK]  # pytest keeps its items until it ends
    return report


def _network_of(item: pytest.Item) -> Network | None:
    """The network of a test, by the fixture or by `NetworkTestCase`."""
    if _is_case(item):
        case = getattr(item, "instance", None)
        return getattr(case, "network", None)
    return item.stash.get(_NETWORK, None)


def _is_case(item: pytest.Item) -> bool:
    trial = sys.modules.get("twistnet.simulation.trial")
    kind = getattr(item, "cls", None)
    return trial is not None and isinstance(kind, type) and issubclass(kind, trial.NetworkTestCase)


def _described(item: pytest.Item, network: Network) -> str:
    lines = item.config.stash[_OPTIONS].trace_lines
    return (
        f"seed {network.seed}; to see it again:\n\n  {_command(item, network)}\n\n{network.trace.last(lines)}"
    )


def _command(item: pytest.Item, network: Network) -> str:
    """What repeats a test, from the folder in which pytest was started."""
    _, colons, name = item.nodeid.partition("::")
    file = os.path.relpath(item.path, item.config.invocation_params.dir)
    test = [*_pytest(item.config), f"{file}{colons}{name}"]
    if _is_case(item):
        return f"TWISTNET_SEED={network.seed} {shlex.join(test)}"
    seeds = item.config.stash[_OPTIONS].seeds
    as_many = [] if seeds == _seeds_in_ini(item.config) == 1 else ["--network-seeds", str(seeds)]
    return shlex.join([*test, "--network-seed", str(network.seed), *as_many])


def _pytest(config: pytest.Config) -> list[str]:
    """How pytest was started, and with which configuration."""
    as_module = Path(sys.argv[0]).name == "__main__.py"
    words = ["python", "-m", "pytest"] if as_module else ["pytest"]
    if config.getoption("inifilename"):
        words += ["-c", str(config.getoption("inifilename"))]
    if config.getoption("rootdir"):
        words += ["--rootdir", str(config.getoption("rootdir"))]
    return words
