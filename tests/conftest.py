"""How the tests run: what they skip on a user's machine, and never in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import globalLogPublisher

from tests.logged import Lines

settings.register_profile(
    "twistnet",
    deadline=None,
    max_examples=100 if os.environ.get("CI") else 40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("twistnet")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--transport",
        choices=["stock", "fast"],
        default="stock",
        help="Whose transports simulated hosts make: Twisted's own, or those of twistnet.transport.",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--transport") == "fast":
        from tests.transport.simulated_transports import use_fast_transports

        use_fast_transports()
    config.addinivalue_line(
        "markers", "needs(program): skipped, with that reason, where the program is not installed"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        program = mark.args[0]
        if shutil.which(program) is None:
            if os.environ.get("CI"):
                pytest.fail(f"{program} is not installed, and CI must have it")
            pytest.skip(f"needs {program}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the programs that a module starts."""
    return tmp_path_factory.mktemp("node")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines that were logged of twistnet's services while a test ran."""
    observer = Lines("twistnet")
    globalLogPublisher.addObserver(observer)
    yield observer.lines
    globalLogPublisher.removeObserver(observer)
