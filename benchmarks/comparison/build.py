"""What is in C is compiled on the spot, with the compiler that is there, into a folder that is thrown away."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "c"
LOAD = ("load", "measure", "pattern", "streams", "fairness", "connections", "datagrams")
PROGRAMS = {"load": LOAD, "echo": ("echo",)}
FLAGS = ("-std=gnu11", "-O2", "-pthread", "-Wall", "-Wextra", "-Werror")


class CannotBuild(Exception):
    """There is no compiler, or it refuses."""


def compiler() -> str:
    """The C compiler: `CC`, or the first of the usual names.

    Raises:
        CannotBuild: none is installed.
    """
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    raise CannotBuild(
        "no C compiler is installed (cc, gcc, clang, or what the environment variable CC names)"
    )


def build(folder: Path) -> None:
    """Compile the load generator and the server in C.

    Raises:
        CannotBuild: there is no compiler, or it refuses.
    """
    name = compiler()
    for program, modules in PROGRAMS.items():
        files = [str(SOURCES / f"{module}.c") for module in modules]
        command = [name, *FLAGS, *files, "-o", str(folder / program)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise CannotBuild(f"{name} does not compile {program}:\n{result.stderr}")
