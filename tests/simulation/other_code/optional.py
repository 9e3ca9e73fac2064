"""What a module of tests needs that twistnet does not: skipped without it on a user's machine, and never in CI."""

from __future__ import annotations

import importlib
import os

import pytest

__all__ = ["needs"]


def needs(*modules: str) -> None:
    """Skip the module that calls this, unless all of these can be imported."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"needs {module}", allow_module_level=True)
