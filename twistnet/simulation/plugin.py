"""The pytest plugin: a simulated network as a fixture, and how to see a failure again.

The rule of this module: pytest loads it in everybody's runs, so it imports nothing of Twisted, and nothing else of this
package, until a test asks for a network; and whatever fails says the one command with which it fails again.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from .network import Network
    from .trial import NetworkTestCase

__all__ = ["network", "network_seed"]

MOST_SEEDS = 1_000_000
MARKER = (
    "network(*, link, seed, trace, patience): "
    "settings of the `network` fixture, as `twistnet.simulation.Network` takes them; the closest mark counts"
)


class _Options(NamedTuple):
    """What was asked for on the command line; `None` where nothing was, and what pytest.ini has counts."""

    seed: int | None
    seeds: int | None
    ini_seed: int
    ini_seeds: int
    trace_lines: int


class _TestFailed(Exception):
    """Tells the network that it need not look for more errors."""


_OPTIONS = pytest.StashKey[_Options]()
_NETWORK = pytest.StashKey["Network"]()
_FAILED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the settings of pytest.ini."""
    group = parser.getgroup("network", "simulated networks (twistnet)")
    group.addoption(
        "--network-seed",
        metavar="N",
        help="The seed of tests that use the `network` fixture or `NetworkTestCase`. Default: what the test's mark "
        "says, or else 0, so that every run is the same run.",
    )
    group.addoption(
        "--network-seeds",
        metavar="K",
        help="Run each test that uses the `network` fixture K times, with the seeds N to N+K-1, to look for failures "
        "that depend on chance. Default: 1.",
    )
    parser.addini("network_seed", "--network-seed, for tests whose marks say nothing (default: 0)")
    parser.addini("network_seeds", "--network-seeds (default: 1)")
    parser.addini(
        "network_trace_lines", "lines of the network's trace that a failed test shows (default: 40)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and register the marker."""
    config.addinivalue_line("markers", MARKER)
    seed, seeds = config.getoption("--network-seed"), config.getoption("--network-seeds")
    config.stash[_OPTIONS] = _Options(
        seed=None if seed is None else _whole("--network-seed", seed),
        seeds=None if seeds is None else _whole("--network-seeds", seeds, 1, MOST_SEEDS),
        ini_seed=_in_ini(config, "network_seed", 0),
        ini_seeds=_in_ini(config, "network_seeds", 1, 1, MOST_SEEDS),
        trace_lines=_in_ini(config, "network_trace_lines", 40),
    )


def _in_ini(config: pytest.Config, name: str, default: int, *bounds: int) -> int:
    value = config.getini(name)
    return _whole(name, value, *bounds) if value else default


def _whole(name: str, value: object, *bounds: int) -> int:
    from ..units import parse_whole

    try:
        return parse_whole(value, *bounds)
    except ValueError as error:
        raise pytest.UsageError(f"{name}: {error}") from None


# Seeds


@pytest.hookimpl(trylast=True)  # so that the seed is the last part of the test's id
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each seed."""
    options = metafunc.config.stash[_OPTIONS]
    seeds = options.seeds or options.ini_seeds
    if seeds > 1 and "network_seed" in metafunc.fixturenames and not _chooses_seeds(metafunc.definition):
        first = _first_seed(metafunc.definition)
        metafunc.parametrize("network_seed", range(first, first + seeds), ids="seed={}".format, indirect=True)


def _chooses_seeds(item: pytest.Item) -> bool:
    """Whether a test is parametrised with seeds of its own."""
    return any("network_seed" in str(mark.args[:1]) for mark in item.iter_markers("parametrize"))


def _first_seed(item: pytest.Item) -> int:
    from .marks import check, settings_of

    check(item)
    options = item.config.stash[_OPTIONS]
    if options.seed is not None:
        return options.seed
    seed: int = settings_of(item).get("seed", options.ini_seed)
    return seed


@pytest.fixture
def network_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test's `network`: what --network-seed says, else its closest mark, else pytest.ini, else 0."""
    seed: int = request.param if hasattr(request, "param") else _first_seed(request.node)
    return seed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See before any test runs whether the marks make sense, of those that use the fixture: others may mean theirs."""
    for item in items:
        if "network_seed" in getattr(item, "fixturenames", ()):
            from .marks import check

            check(item)


# The network


@pytest.fixture
def network(request: pytest.FixtureRequest, network_seed: int) -> Iterator[Network]:
    """A simulated network (`twistnet.simulation.Network`) of this test's own, in virtual time.

    The global reactor stands for its hosts while the test runs. The test may be an `async def`, which the network runs;
    under hypothesis every example has a new network. `@pytest.mark.network(link=..., seed=..., trace=...,
    patience=..., timeout=...)` on the test, its class or its module sets what `Network` takes. A test that has passed fails
    nevertheless if anything has gone wrong unnoticed: an error was logged, or a Deferred has failed with nobody
    listening.
    """
    from ..errors import ErrorsLogged

    made = _made(request.node, network_seed)
    request.node.stash[_FAILED] = False
    try:
        with suppress(_TestFailed), made:
            yield made
            if request.node.stash[_FAILED]:
                raise _TestFailed
    except ErrorsLogged as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _made(item: pytest.Item, seed: int) -> Network:
    """A new network for a test, which is shown if the test fails."""
    from .marks import check, settings_of
    from .network import Network

    check(item)
    made = item.stash[_NETWORK] = Network(**{**settings_of(item), "seed": seed})
    return made


@pytest.hookimpl(tryfirst=True)  # before plugins that run tests on the real reactor, which is lent
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that has a network; if it is a coroutine or returns a Deferred, the network runs that."""
    __tracebackhide__ = True
    if _NETWORK not in pyfuncitem.stash:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    if hasattr(pyfuncitem.obj, "hypothesis"):
        with _network_for_each_example(pyfuncitem):
            pyfuncitem.obj(**arguments)
    else:
        _run(pyfuncitem.stash[_NETWORK], _without_asyncio(pyfuncitem.obj), **arguments)
    return True


def _run(running: Network, test: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    __tracebackhide__ = True
    returned = test(*args, **kwargs)
    if isinstance(returned, Awaitable):
        running.run(returned)
    elif returned is not None:
        pytest.fail(f"a test returns nothing or something to wait for, not {returned!r}", pytrace=False)


def _without_asyncio(test: Any) -> Any:
    """A coroutine test as it was before pytest-asyncio wrapped it, which would run it on a loop of its own."""
    by = str(getattr(test, "__globals__", {}).get("__name__"))
    return test.__wrapped__ if by.startswith("pytest_asyncio") else test


# Hypothesis: one call of the fixture, many of the test


@contextmanager
def _network_for_each_example(item: pytest.Function) -> Iterator[None]:
    """Give every example a network of its own, which is entered and looked through like that of a test."""
    handle = item.obj.hypothesis
    before, test = handle.inner_test, _without_asyncio(handle.inner_test)

    @functools.wraps(test)
    def example(*args: Any, **kwargs: Any) -> None:
        with _made(item, item.stash[_NETWORK].seed) as made:
            _run(made, test, *args, **{**kwargs, "network": made} if "network" in kwargs else kwargs)

    handle.inner_test = example
    try:
        yield
    finally:
        handle.inner_test = before


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before hypothesis looks
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Let hypothesis know that our fixtures suit many examples; those of others it judges itself."""
    __tracebackhide__ = True
    if _NETWORK in item.stash and isinstance(item, pytest.Function) and hasattr(item.obj, "hypothesis"):
        _suit_examples(item)
    _choose_seed_of_case(item)
    return (yield)


def _suit_examples(item: pytest.Function) -> None:
    from hypothesis import HealthCheck, settings

    test, before = item.function, item.function._hypothesis_internal_use_settings
    others = set(item._fixtureinfo.argnames).difference(__all__, _parameters(item))
    if not any(item._fixtureinfo.name2fixturedefs[name][-1].scope == "function" for name in others):
        allowed = {*before.suppress_health_check, HealthCheck.function_scoped_fixture}
        test._hypothesis_internal_use_settings = settings(before, suppress_health_check=allowed)


def _parameters(item: pytest.Function) -> dict[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}


# What a failure shows


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: what was expected to fail is no failure by then
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say how to see a failure again, and what happened on the network before it."""
    report = yield
    found = _network_of(item) if report.failed and not item.stash.get(_FAILED, False) else None
    if found is not None:
        report.sections.append(("network", _explained(item, found)))
    if call.excinfo is not None and _NETWORK in item.stash:
        item.stash[_FAILED] = True
    if call.when == "teardown" and _NETWORK in item.stash:
        del item.stash[_NETWORK]  # pytest keeps its items until it ends
    return report


def _explained(item: pytest.Item, network: Network) -> str:
    from .replay import explained, pytest_command

    options = item.config.stash[_OPTIONS]
    asked = not (_case_of(item) or (options.seeds is None and options.ini_seeds == 1))
    seeds = (options.seeds or options.ini_seeds) if asked else None
    return explained(network, pytest_command(item, network.seed, seeds), options.trace_lines)


def _network_of(item: pytest.Item) -> Network | None:
    """The network of a test, by the fixture or by `NetworkTestCase`."""
    return item.stash.get(_NETWORK, None) or getattr(_case_of(item), "network", None)


def _case_of(item: pytest.Item) -> NetworkTestCase | None:
    trial = sys.modules.get("twistnet.simulation.trial")
    case = getattr(item, "instance", None)
    return case if trial is not None and isinstance(case, trial.NetworkTestCase) else None


def _choose_seed_of_case(item: pytest.Item) -> None:
    case, seed = _case_of(item), item.config.stash[_OPTIONS].seed
    if case is not None and seed is not None:
        case.chosen_seed = seed
