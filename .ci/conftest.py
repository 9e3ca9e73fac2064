"""The wheel under test is given on the command line."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--wheel", required=True, help="the wheel to test")
