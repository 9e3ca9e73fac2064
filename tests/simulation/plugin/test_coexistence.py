"""The plugin among others: what it costs those who don't use it, and that it leaves other plugins their tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from twistnet.simulation import Host, Network

if TYPE_CHECKING:
    from .conftest import Project

LIGHTLY = ("-p", "no:twisted", "-p", "no:hypothesispytest")
"""Plugins that take long to start."""


def test_a_run_without_networks_imports_nothing_but_the_plugin(project: Project) -> None:
    project.pytester.makepyfile(
        """
import sys

def test_it(pytestconfig):
    assert pytestconfig.pluginmanager.hasplugin("twistnet")
    ours = {name for name in sys.modules if name.split(".")[0] == "twistnet"}
    assert ours == {"twistnet", "twistnet._version", "twistnet.simulation", "twistnet.simulation.plugin"}
    heavy = {"twisted", "zope", "attr", "attrs", "hypothesis"}
    assert not [name for name in sys.modules if name.split(".")[0] in heavy]
"""
    )
    project.run_process(*LIGHTLY, "-p", "no:xdist").assert_outcomes(passed=1)


def test_the_plugin_can_be_left_out(project: Project) -> None:
    project.tests("def test_it(network): pass")
    result = project.run("-p", "no:twistnet")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'network' not found*"])


def test_its_options_its_marker_and_its_fixtures_are_listed(project: Project) -> None:
    project.run("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.network([*], link, seed, trace, patience): *"]
    )
    fixtures = project.run("--fixtures").stdout
    fixtures.fnmatch_lines(["network_seed -- *", "    The seed of this test's `network`*"])
    fixtures.fnmatch_lines(["network -- *", "    A simulated network *"])
    project.run("--help").stdout.fnmatch_lines(
        [
            "simulated networks (twistnet):",
            "  --network-seed=N *",
            "  --network-seeds=K *",
            "  network_seed (string):",
            "  network_seeds (string):",
            "  network_trace_lines (string):*",
        ]
    )


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_before_a_simulation_pytest_twisted_has_the_real_reactor() -> None:
    await deferLater(reactor, 0.0)
    assert not isinstance(reactor, Host)


async def test_a_test_that_has_a_network_is_not_pytest_twisted_s(network: Network) -> None:
    await deferLater(network.host("a"), 3600)
    assert network.clock.now == 3600
    assert isinstance(reactor, Host)


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_after_a_simulation_pytest_twisted_has_the_real_reactor_again() -> None:
    await deferLater(reactor, 0.0)
    assert not isinstance(reactor, Host)


def test_a_failure_in_another_process_shows_how_to_see_it_again_in_this_one(project: Project) -> None:
    project.pytester.makepyfile(
        """
import pytest

@pytest.mark.parametrize("what", ["it's $HOME"])
def test_it(network, what):
    assert network.seed != 1
"""
    )
    result = project.run_process("-n", "1", "--network-seeds", "2", *LIGHTLY)
    result.assert_outcomes(passed=1, failed=1)
    assert project.command(result).startswith("python -m pytest -p ")
    project.again(result).assert_outcomes(failed=1)


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_of_coroutines_those_that_have_a_network_are_not_asyncio_s(project: Project, mode: str) -> None:
    project.tests(
        """
import asyncio
from hypothesis import given, strategies as st

async def test_network(network):
    await task.deferLater(network.host("a"), 3600)
    assert network.clock.now == 3600

@given(st.integers(0, 10))
async def test_examples(network, number):
    await task.deferLater(network.host("a"), number)
    assert network.clock.now == number

@pytest.mark.asyncio
async def test_loop():
    await asyncio.sleep(0)
    assert asyncio.get_running_loop()
"""
    )
    ini = (f"asyncio_mode={mode}", "asyncio_default_fixture_loop_scope=function")
    project.run("-p", "pytest_asyncio.plugin", "-o", ini[0], "-o", ini[1]).assert_outcomes(passed=3)
