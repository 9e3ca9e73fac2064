"""How fast a file goes there and back through the files service, beside socat moving the same file: one interleaved run.

The service and its client hash everything at both ends and flush it to disk before they say that it is stored; socat does
neither. Prints the median of each, and the ratio, which must not be below `--least`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BIN = Path(sys.executable).parent
LOOPBACK = "127.0.0.1"


@contextmanager
def service(folder: Path) -> Iterator[int]:
    """The files service in a folder; its port."""
    command = [
        str(BIN / "twistd"),
        "-n",
        "--pidfile=",
        "twistnet-files",
        "--folder",
        "served",
        "--writable",
        "--listen",
        "tcp:0",
    ]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = (re.search(r"serves on tcp 127.0.0.1:(\d+)", line) for line in process.stdout)
            yield next(int(found[1]) for found in lines if found)
        finally:
            process.terminate()
            process.stdout.read()


def client(*words: str, folder: Path) -> float:
    """Run a command of the client; how long it took."""
    begun = time.perf_counter()
    subprocess.run([BIN / "twistnet", *words], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def socat(folder: Path) -> float:
    """Move the file with socat; how long it took from the sender's start to the receiver's end."""
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    listen = f"TCP-LISTEN:{port},bind={LOOPBACK},reuseaddr"
    with subprocess.Popen(["socat", "-u", listen, "CREATE:by-socat"], cwd=folder) as receiver:
        until_listening(port)
        begun = time.perf_counter()
        subprocess.run(["socat", "-u", "OPEN:file", f"TCP:{LOOPBACK}:{port}"], cwd=folder, check=True)
        receiver.wait()
        return time.perf_counter() - begun


def until_listening(port: int) -> None:
    """Wait for a listener, without connecting: it would take that for the sender."""
    wanted = f":{port:04X} 00000000:0000 0A"
    deadline = time.monotonic() + 10
    while wanted not in Path("/proc/net/tcp").read_text():
        if time.monotonic() > deadline:
            raise SystemExit("socat does not listen")
        time.sleep(0.01)


def make_file(path: Path, octets: int) -> None:
    """A file of random octets."""
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for at in range(0, octets, len(block)):
            file.write(at.to_bytes(8, "big") + block[8 : min(len(block), octets - at)])
    os.sync()


def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each, one after the other, round by round."""
    taken: dict[str, list[float]] = {"put": [], "get": [], "socat": []}
    with service(folder) as port:
        where = f"tcp:{LOOPBACK}:{port}"
        for _ in range(rounds):
            taken["put"].append(client("put", "file", where, folder=folder))
            os.sync()
            taken["socat"].append(socat(folder))
            os.sync()
            taken["get"].append(client("get", "file", "-o", "back", where, folder=folder))
            subprocess.run(["cmp", "file", "back"], cwd=folder, check=True)
            for name in ("served/file", "by-socat", "back"):
                (folder / name).unlink()
            os.sync()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--least", type=float, default=0.7)
    parser.add_argument("--folder", help="where the files go; a temporary folder unless given")
    arguments = parser.parse_args()
    if shutil.which("socat") is None:
        raise SystemExit("needs socat")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        (folder / "served").mkdir()
        make_file(folder / "file", arguments.mebibytes << 20)
        taken = measure(folder, arguments.rounds)
    medians = {what: statistics.median(seconds) for what, seconds in taken.items()}
    for what, seconds in medians.items():
        each = " ".join(f"{one:.2f}" for one in taken[what])
        print(f"{what:6} {seconds:6.2f} s  {arguments.mebibytes * 1.048576 / seconds:6.0f} MB/s   ({each})")
    ratios = {what: medians["socat"] / medians[what] for what in ("put", "get")}
    print(", ".join(f"{what} {ratio:.2f} of socat" for what, ratio in ratios.items()))
    if min(ratios.values()) < arguments.least:
        raise SystemExit(f"below {arguments.least}")


if __name__ == "__main__":
    main()
