"""The console as a process: in a real terminal, and in a pipe."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.panes import Pane, pane
from tests.running import BIN, PATIENCE, ask, connect, finished, read_all

needs_tmux = pytest.mark.needs("tmux")
CONSOLE = "twistd -n --pidfile= twistnet-console --listen tcp:0 --listen udp:0 --graceful-timeout 3s"
HOSTILE = b"\x1b[2J\x1b[1;1H\x1b]0;pwned\x07\x1bc\x9b31m\xc2\x9b5m\xe2\x80\xaeevil\rHello\x08\x00\xff\n"


@contextmanager
def served(folder: Path) -> Iterator[tuple[Pane, str, str]]:
    """A terminal with a console in it, and where that listens; streams, then datagrams."""
    with pane(folder) as terminal:
        terminal.run(f"clear; stty -a | tail -n +2 > before; {CONSOLE}")
        screen = terminal.wait_for(r"^> *$")
        streams, datagrams = re.findall(r"serves on (?:tcp|udp) (\S+)", screen)
        yield terminal, streams, datagrams


def ends_well(terminal: Pane, folder: Path) -> str:
    """The exit status, once it has ended; the terminal is as it was then, but for its size."""
    terminal.wait_for(r"^\$$")
    terminal.run("echo status $?; stty -a | tail -n +2 > after; echo over")
    screen = terminal.wait_for(r"^over$")
    assert (folder / "before").read_text() == (folder / "after").read_text()
    (status,) = re.findall(r"^status (\d+)$", screen, re.MULTILINE)
    return str(status)


@needs_tmux
def test_a_person_answers_many(tmp_path: Path) -> None:
    with served(tmp_path) as (terminal, streams, datagrams):
        with (
            connect(streams) as first,
            connect(streams) as second,
            connect(datagrams, socket.SOCK_DGRAM) as third,
        ):
            first.sendall("Grüße\n".encode())
            terminal.wait_for(r"^\[\d 127\S+\] Grüße\n(.*\n)*1> *$")
            terminal.type("hello")
            terminal.wait_for("^1> hello$")
            second.sendall(b"me too\n")
            terminal.wait_for(r"^\[2 127\S+\] me too\n1> hello$")
            terminal.press("Home")
            terminal.type("oh, ")
            terminal.press("Enter")
            assert first.recv(100) == b"oh, hello\n"
            terminal.wait_for(r"^1> oh, hello\n2> *$")
            terminal.press("Up", "End")
            terminal.type("!")
            terminal.press("Enter")
            assert second.recv(100) == b"oh, hello!\n"
            third.send(b"")
            terminal.wait_for(r"^\[3 127\S+\]\n3> *$")
            terminal.press("Enter")
            assert third.recv(100) == b""
            terminal.type("/all bye\r/list\r/close 1\r")
            assert (read_all(first), second.recv(100), third.recv(100)) == (b"bye\n", b"bye\n", b"bye")
            first.close()
            terminal.wait_for(r"^\* 1 .* has left\n3> *$")
            terminal.type("/quit\r")
            assert read_all(second) == b""
        assert ends_well(terminal, tmp_path) == "0"


@needs_tmux
def test_what_is_hostile_is_harmless_and_the_terminal_stays_sane(tmp_path: Path) -> None:
    with served(tmp_path) as (terminal, streams, _), connect(streams) as peer:
        terminal.type("typing")
        terminal.wait_for("^> typing$")
        peer.sendall(HOSTILE)
        seen = r"\] \\x1b\[2J\\x1b\[1;1H\\x1b\]0;pwned\\x07\\x1bc\\x9b31m\\x9b5m\\u202eevil\\rHello\\x08\\x00\\xff$"
        terminal.resize(140, 30)
        peer.sendall(HOSTILE)
        screen = terminal.wait_for(seen)
        assert "serves on tcp" in screen
        assert screen.endswith("> typing")
        peer.sendall(b"x" * 30_000 + b"\n" + b"no end")
        assert terminal.wait_for(r"^\[.*\] no end\n> typing$").count("x... (30000 octets)") == 1
        terminal.resize(30, 10)
        terminal.type(" " + "more" * 10)
        assert "typing" not in terminal.wait_for(r"^> \S{23,26}more$")
        peer.close()
        terminal.wait_for(r"and\s+may\s+still\s+be\s+answered")
        terminal.press("C-c")
        assert ends_well(terminal, tmp_path) == "130"


@needs_tmux
def test_a_signal_after_quit_waits_for_nobody(tmp_path: Path) -> None:
    with served(tmp_path) as (terminal, streams, _), connect(streams) as peer:
        peer.sendall(b"hi\n")
        terminal.wait_for(r"\] hi$")
        terminal.type("/quit\r")
        terminal.wait_for("waits up to")
        terminal.press("C-c")
        screen = terminal.wait_for("aborting open connections")
        assert "Traceback" not in screen
        ends_well(terminal, tmp_path)


@needs_tmux
def test_without_line_editing_or_in_the_background_it_serves_all_the_same(tmp_path: Path) -> None:
    with pane(tmp_path) as terminal:
        terminal.run(f"clear; {CONSOLE} &")
        background = re.findall(r"serves on tcp (\S+)", terminal.wait_for("serves on udp"))[0]
        with connect(background) as peer:
            peer.sendall(b"is anybody there?\n")
            terminal.wait_for(r"^\[1 127\S+\] is anybody there\?$")
        terminal.run("kill %1; wait; clear; echo ready")
        terminal.wait_for(r"\Aready\n(.*\n)?\$$")
        terminal.run(f"TERM=dumb {CONSOLE}")
        screen = terminal.wait_for("serves on udp")
        with connect(re.findall(r"serves on tcp (\S+)", screen)[-1]) as peer:
            terminal.type("nobody\r")
            terminal.wait_for(r"^\* to whom\?")
            peer.sendall(b"me\n")
            terminal.wait_for(r"^\[1 127\S+\] me$")
            terminal.type("you\r")
            assert peer.recv(100) == b"you\n"
        terminal.press("C-d")
        terminal.wait_for(r"^\$$")


@needs_tmux
def test_two_persons_talk(tmp_path: Path) -> None:
    """One at the console, one with `twistnet talk`."""
    with served(tmp_path) as (terminal, streams, datagrams), pane(tmp_path) as other:
        for number, target in ((1, f"tcp:{streams}"), (2, f"udp:{datagrams}")):
            other.run(f"clear; twistnet talk {target}")
            other.wait_for("^> *$")
            other.type("日本?\r")
            terminal.wait_for(rf"^\[{number} 127\S+\] 日本\?\n{number}> *$")
            terminal.type("はい\r")
            other.wait_for(r"^> 日本\?\nはい\n> *$")
            terminal.type(f"/close {number}\r")
            terminal.wait_for(rf"^\* {number} 127\S+ has left")
            if target.startswith("udp"):
                other.press("C-d")
            other.wait_for(r"^\$$")
        terminal.press("C-d")
        assert ends_well(terminal, tmp_path) == "0"


def test_a_terminal_that_takes_nothing_holds_up_nobody_else(tmp_path: Path) -> None:
    """And once it does, all that was said is shown."""
    (tmp_path / "node.toml").write_text(
        '[services.console]\nlisten = ["unix:c.sock"]\n[services.echo]\nlisten = ["unix:e.sock"]\n'
    )
    screen, terminal = os.openpty()
    program = f"""
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_path({str(BIN / "twistd")!r}, run_name="__main__")
"""
    node = subprocess.Popen(
        [BIN / "python", "-c", program,
         "-n", "--pidfile=", "twistnet", "--config", "node.toml"],
        cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(terminal)
    with node, os.fdopen(screen, "rb", buffering=0) as shown:
        try:
            seen = b""
            while b"> " not in seen.rpartition(b"serves on")[2]:
                seen += shown.read(65536)
            with connect(f"{tmp_path}/c.sock") as peer, connect(f"{tmp_path}/e.sock") as other:
                peer.setblocking(False)
                said = 0
                with suppress(BlockingIOError):
                    while True:
                        said += peer.send(b"%07d\n" % 0 * 1000)
                assert ask(other, b"still there?") == b"still there?"
                peer.setblocking(True)
                feeding = Thread(target=lambda: peer.sendall(b"the last\n"))
                feeding.start()
                seen = b""
                while b"the last" not in seen:
                    seen += shown.read(65536)
                feeding.join(PATIENCE)
            assert seen.count(b"] 0000000\r") == said // 8
        finally:
            node.kill()


def scripted(folder: Path, script: bytes, *options: str) -> tuple[subprocess.Popen[bytes], str]:
    """A console with that for a script, and where it listens."""
    console = subprocess.Popen(
        [BIN / "twistd", "-n", "--pidfile=", "twistnet-console", "--listen", "tcp:0", *options],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert console.stdin is not None
    console.stdin.write(script)
    console.stdin.close()
    return console, address_of(console)


def address_of(console: subprocess.Popen[bytes]) -> str:
    """Where it listens for streams, once it does."""
    assert console.stdout is not None
    for line in console.stdout:
        if found := re.search(rb"serves on tcp (\S+)", line):
            return found[1].decode()
    raise AssertionError("it does not serve")


def test_a_script_answers_who_has_spoken_and_quits(tmp_path: Path) -> None:
    console, address = scripted(tmp_path, "hello\r\nGrüße \xff\n/quit".encode("latin-1"))
    with console, connect(address) as silent, connect(address) as peer:
        peer.sendall(b"hi\n")
        assert read_all(peer) == "hello\nGrüße \xff\n".encode("latin-1")
        peer.close()
        assert read_all(silent) == b""
        silent.close()
        assert console.stdout is not None
        said = [line.decode() for line in console.stdout if line[:1] in b"[*"]
        assert console.wait(PATIENCE) == 0
    number = said[2][1]
    assert [re.sub(r"127\S*:\d+", "P", line) for line in said if f" {number} " in line or f"[{number} " in line] == [
        f"* {number} P has come\n", f"[{number} P] hi\n", f"* {number} P has left\n",
    ]  # fmt: skip


def test_after_the_end_of_a_script_peers_are_still_heard(tmp_path: Path) -> None:
    """And `twistnet send` is told what the script says, though it has finished sending by then."""
    console, address = scripted(tmp_path, b"hello\n", "--answer-time", "500ms")
    with console:
        result = finished("twistnet", "send", f"tcp:{address}", folder=tmp_path, stdin=b"hi")
        assert (result.returncode, result.stdout) == (0, b"hello\n")
        with connect(address) as peer:
            peer.sendall(b"anybody?\n")
            assert console.stdout is not None
            assert any(b"] anybody?" in line for line in console.stdout)
        console.terminate()
        assert console.wait(PATIENCE) == -signal.SIGTERM


@pytest.mark.parametrize("redirection", ["</dev/null", "<&-"])
def test_without_an_input_it_serves_as_if_that_had_ended(tmp_path: Path, redirection: str) -> None:
    command = f"exec {BIN}/{CONSOLE} {redirection} 2>&1"
    with subprocess.Popen(["sh", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE) as console:
        try:
            with connect(address_of(console)) as peer:
                peer.sendall(b"anybody?\n")
                assert console.stdout is not None
                assert any(b"] anybody?" in line for line in console.stdout)
        finally:
            console.kill()


def test_there_is_one_console_in_a_process(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text(
        '[services.console]\nlisten = ["tcp:0"]\n[services.other]\nservice = "console"\nlisten = ["tcp:0"]\n'
    )
    result = finished("twistd", "-n", "twistnet", "--config", "node.toml", folder=tmp_path)
    assert result.returncode == 1
    assert b"one console in a process" in result.stderr
