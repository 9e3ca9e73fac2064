"""The page "From sockets to twistnet" is so: its programs print what stands below them, and so do its commands.

A command that ends in `&` is left running while the section lasts; a service among them listens on ports that are free, and
what the page calls 7008 is that port in all that follows.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from attrs import define, field

from tests.running import BIN, PATIENCE, Program, running
from twistnet.services.definition import find_service

PAGE = (Path(__file__).parent.parent / "docs" / "from-sockets.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
PROGRAMS = {
    title: re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", text, re.DOTALL)
    for title, text in SECTIONS.items()
}
DIALOGUES = {
    title: found[1]
    for title, text in SECTIONS.items()
    if (found := re.search(r"```console\n(.*?)```", text, re.DOTALL))
}


def test_every_section_has_its_program_and_its_commands() -> None:
    assert all(len(programs) == 1 for programs in PROGRAMS.values())
    assert set(SECTIONS) - set(DIALOGUES) == {"In your own program"}
    assert PAGE.count("```") == 4 * len(PROGRAMS) + 2 * len(DIALOGUES)


def test_the_list_of_sections_is_complete() -> None:
    listed = re.findall(r"^- \[(.+)\]\(#(.+)\)$", PAGE, re.MULTILINE)
    assert [title for title, _ in listed] == list(SECTIONS)
    for title, anchor in listed:
        assert anchor == re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("title", PROGRAMS)
def test_a_program_breaks_as_the_page_says(title: str, tmp_path: Path) -> None:
    ((code, printed),) = PROGRAMS[title]
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert (ran.stdout, ran.stderr, ran.returncode) == (printed, "", 0)


@define(eq=False)
class Shell:
    """Runs the commands of a section, one after the other.

    Attributes:
        folder: Where.
        ports: What the ports of the page really are.
        jobs: What is running, in the order in which it was started.
    """

    folder: Path
    left_behind: ExitStack
    ports: dict[str, str] = field(factory=dict)
    jobs: list[Program | subprocess.Popen[bytes]] = field(factory=list)

    def run(self, command: str) -> str:
        """What a command prints, with the ports of the page."""
        if command.startswith("kill %"):
            job = self.jobs[int(command.removeprefix("kill %")) - 1]
            assert isinstance(job, Program)
            assert job.end() == -signal.SIGTERM
            return ""
        if found := re.fullmatch(r"(?:(.*) \| )?(twistd -n .*) &", command):
            typed = subprocess.check_output(["bash", "-c", found[1]]) if found[1] else b""
            self._serve(shlex.split(found[2]), typed)
            return ""
        words = ["bash", "-c", self._real(command.removesuffix("&"))]
        if command.endswith("&"):
            self.jobs.append(self.left_behind.enter_context(in_the_background(words, self.folder)))
            return ""
        ran = subprocess.run(
            words, cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=PATIENCE, check=False,
        )  # fmt: skip
        printed = ran.stdout.decode()
        for name, port in self.ports.items():
            printed = re.sub(rf"\b{port}\b", name, printed)
        return printed

    def _real(self, text: str) -> str:
        return re.sub(r"\b70\d\d\b", lambda found: self.ports.get(found[0], found[0]), text)

    def _serve(self, words: list[str], typed: bytes) -> None:
        """Start a service, on ports that are free if they have not been chosen yet."""
        assert words[:2] == ["twistd", "-n"]
        if "--listen" not in words:
            name = words[2].removeprefix("twistnet-")
            words += [word for listen in find_service(name).listen for word in ("--listen", listen)]
        wanted = [words[i + 1] for i, word in enumerate(words) if word == "--listen"]
        real = [
            re.sub(r"\b70\d\d$", lambda found: self.ports.get(found[0], "0"), listen) for listen in wanted
        ]
        listen = [word for text in real for word in ("--listen", text)]
        rest = [word for i, word in enumerate(words) if "--listen" not in (word, words[i - 1])]
        program = self.left_behind.enter_context(running(*rest[2:], *listen, folder=self.folder, stdin=typed))
        self.jobs.append(program)
        for text, (_, address) in zip(wanted, program.addresses(len(wanted)), strict=True):
            if found := re.search(r":(70\d\d)$", text):
                self.ports[found[1]] = address.rpartition(":")[2]


def environment() -> dict[str, str]:
    """This one, with our programs first on the path."""
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@contextmanager
def in_the_background(words: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until the end of the section, with all that it has started."""
    with subprocess.Popen(
        words, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.needs("bash")
@pytest.mark.parametrize("title", DIALOGUES)
def test_the_commands_print_what_the_page_says(title: str, tmp_path: Path) -> None:
    with ExitStack() as left_behind:
        shell = Shell(tmp_path, left_behind)
        for command, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", DIALOGUES[title], re.MULTILINE):
            pattern = re.escape(printed).replace("…", ".+")
            found = shell.run(command)
            assert re.fullmatch(pattern, found), f"{command} printed {found!r}"
