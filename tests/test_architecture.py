"""The house: imports run downwards only, and rooms on one floor do not import each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import twistnet

ROOT = Path(twistnet.__file__).parent
FLOORS: tuple[tuple[str, ...], ...] = (
    ("tap", "client"),
    ("services",),
    ("endpoints",),
    ("protocols", "policies", "transport", "terminal"),
    ("wire",),
    ("simulation",),
    ("addresses", "config", "tls"),
    ("errors",),
    ("units", "_version"),
)
LEVEL = {room: level for level, floor in enumerate(FLOORS) for room in floor}
MODULES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    """The room that a module is in: its folder, or its own name on the ground floor."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports_of(path: Path) -> list[str]:
    """The dotted names of what a module imports, of twistnet's own and of others."""
    names: list[str] = []
    package = ("twistnet", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names += [f"{module}.{alias.name}" for alias in node.names]
    return names


def rooms_imported(path: Path) -> set[str]:
    """The rooms of twistnet that a module imports."""
    ours = [name.split(".") for name in imports_of(path) if name.startswith("twistnet.")]
    return {parts[1] for parts in ours} - {room_of(path)}


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent != ROOT or p.stem != "__init__"], ids=str)
def test_imports_run_downwards(path: Path) -> None:
    for room in rooms_imported(path):
        assert LEVEL[room] > LEVEL[room_of(path)], f"{path} is not above {room}"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if room_of(p) in {"wire", "config", "errors", "units"}], ids=str
)
def test_what_is_pure_imports_no_twisted(path: Path) -> None:
    assert not [name for name in imports_of(path) if name.startswith(("twisted", "zope"))]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_the_simulation_stands_apart(path: Path) -> None:
    if room_of(path) == "simulation":
        assert rooms_imported(path) <= {"errors", "units"}
    else:
        assert "simulation" not in rooms_imported(path)


@pytest.mark.parametrize("path", sorted((ROOT / "simulation" / "kernel").glob("*.py")), ids=str)
def test_the_simulated_kernel_imports_no_twisted(path: Path) -> None:
    assert not [name for name in imports_of(path) if name.startswith(("twisted.", "zope"))]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_only_the_top_floor_finds_the_global_reactor(path: Path) -> None:
    if room_of(path) not in {"tap", "client", "simulation"}:
        assert "twisted.internet.reactor" not in imports_of(path)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_the_public_face_has_every_name_it_promises() -> None:
    for name in twistnet.__all__:
        assert getattr(twistnet, name) is not None
    assert set(twistnet.__all__) <= set(dir(twistnet))
    with pytest.raises(AttributeError, match="has no attribute 'Ecko'"):
        _ = twistnet.Ecko


def test_the_type_checker_sees_the_same_face() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text("utf-8"))
    (checking,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        (node.module, alias.name)
        for node in checking.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {(home, name) for home, names in twistnet._HOMES.items() for name in names}


LIGHT = """
import sys
{statement}
heavy = ["twisted.internet.reactor", "cattrs", "click", "hypothesis"{more}]
found = [name for name in heavy if name in sys.modules]
assert not found, found
"""


@pytest.mark.parametrize(
    ("statement", "more"),
    [
        ("import twistnet; [getattr(twistnet, name) for name in twistnet.__all__]", ""),
        ("import twisted.plugins.twistnet_plugins", ', "twisted.internet.endpoints", "twistnet.config"'),
    ],
)
def test_importing_is_light_and_installs_no_reactor(statement: str, more: str) -> None:
    program = LIGHT.format(statement=statement, more=more)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=ROOT.parent)


def test_nothing_under_twisted_is_a_package() -> None:
    assert list((ROOT.parent / "twisted").rglob("__init__.py")) == [] or "site-packages" in str(ROOT)
