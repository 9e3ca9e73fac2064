"""Twisted's own tests of reactors, made for another reactor.

The rule of this module: what Twisted makes for its epoll reactor is made here, and nothing else; who runs it says what may be
left out.
"""

from __future__ import annotations

import unittest
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.trial.unittest import SynchronousTestCase

__all__ = ["problems_of", "reactor_cases"]


def reactor_cases(
    modules: Sequence[str], factory: Callable[[], Any], suffix: str
) -> dict[str, tuple[type[Any], str]]:
    """The cases of `twisted.internet.test.test_MODULE`, each with the name of a test, by the name of both."""
    found: dict[str, tuple[type[Any], str]] = {}
    for module in (import_module(f"twisted.internet.test.test_{name}") for name in modules):
        for name in sorted(vars(module)):
            if name.endswith("_EPollReactorTests"):
                builder = vars(module)[name.removesuffix("_EPollReactorTests")]
                assert issubclass(builder, ReactorBuilder)
                attributes = {"reactorFactory": staticmethod(factory), "__module__": module.__name__}
                case: Any = type(f"{builder.__name__}_{suffix}", (builder, SynchronousTestCase), attributes)
                for test in unittest.TestLoader().getTestCaseNames(case):
                    found[f"{builder.__name__}.{test}"] = (case, test)
    return found


def problems_of(case: type[Any], test: str) -> tuple[list[str], list[str]]:
    """Run one test.

    Returns:
        What failed, and the reasons why it was skipped.
    """
    result = unittest.TestResult()
    case(test).run(result)
    return [text for _, text in [*result.failures, *result.errors]], [text for _, text in result.skipped]
