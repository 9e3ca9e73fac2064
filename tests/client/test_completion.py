"""The shells' completion, as the README has it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.running import BIN

README = (Path(__file__).parent.parent.parent / "README.md").read_text("utf-8")
LINES = {
    shell: line
    for line, shell in re.findall(r"^(.*_TWISTNET_COMPLETE=(\w+)_source.*?)\s+#", README, re.MULTILINE)
}


def environment(**more: str) -> dict[str, str]:
    """This one, with our program first on the path."""
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **more}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_line_and_its_script(shell: str) -> None:
    assert "twistnet" in LINES[shell]
    ran = subprocess.run(
        ["twistnet"], env=environment(_TWISTNET_COMPLETE=f"{shell}_source"),
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert f"_TWISTNET_COMPLETE={shell}_complete" in ran.stdout


@pytest.mark.needs("bash")
def test_bash_completes_commands_after_its_line() -> None:
    asked = 'COMP_WORDS=(twistnet se); COMP_CWORD=1; _twistnet_completion twistnet; echo "${COMPREPLY[@]}"; complete'
    ran = subprocess.run(
        ["bash", "-c", f"{LINES['bash']}\n{asked}"],
        env=environment(), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ran.stderr == ""
    completed, registered = ran.stdout.splitlines()
    assert completed == "send services"
    assert registered.endswith("-F _twistnet_completion twistnet")


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("twistnet conn", {"connect"}),
        ("twistnet send --proxy-protocol ", {"v1", "v2"}),
        ("twistnet connect --ev", {"--every"}),
    ],
)
def test_what_is_completed(words: str, completed: set[str]) -> None:
    """Names of commands and options, and the values that an option has."""
    ran = subprocess.run(
        ["twistnet"],
        env=environment(_TWISTNET_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert {line.partition(",")[2] for line in ran.stdout.splitlines()} == completed
