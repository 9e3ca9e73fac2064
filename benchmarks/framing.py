"""What framers cost beside Twisted's receivers: the same octets in the same segments, the one and the other in turn.

    python benchmarks/framing.py [--rounds 7]

Small frames in segments of 64 KiB, which hold many; long ones in segments of 1,400 octets, as they come off a network.
Prints the median of microseconds a frame, or of milliseconds for one long frame, and how many times as fast the framer is.
Takes about 40 s, most of it Twisted's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

from twisted.internet.testing import StringTransport
from twisted.protocols.basic import Int32StringReceiver, LineReceiver, NetstringReceiver

from twistnet.wire.framing import Framer, LengthFramer, LineFramer, NetstringFramer

MIB = 1 << 20
Count = Callable[[Sequence[bytes]], int]


class Lines(LineReceiver):
    """Counts lines."""

    delimiter, MAX_LENGTH = b"\n", 8 * MIB
    count = 0

    def lineReceived(self, line: bytes) -> None:
        """One more."""
        self.count += 1


class Int32s(Int32StringReceiver):
    """Counts strings."""

    MAX_LENGTH = 8 * MIB
    count = 0

    def stringReceived(self, string: bytes) -> None:
        """One more."""
        self.count += 1


class Netstrings(NetstringReceiver):
    """Counts netstrings."""

    MAX_LENGTH = 8 * MIB
    count = 0

    def stringReceived(self, string: bytes) -> None:
        """One more."""
        self.count += 1


Receiver = type[Lines | Int32s | Netstrings]
PAIRS: dict[str, tuple[Callable[[], Framer], Receiver]] = {
    "LineFramer / LineReceiver": (lambda: LineFramer(max_length=8 * MIB), Lines),
    "LengthFramer / Int32StringReceiver": (lambda: LengthFramer(4, 8 * MIB), Int32s),
    "NetstringFramer / NetstringReceiver": (lambda: NetstringFramer(8 * MIB), Netstrings),
}
LOADS = (("16 octets", 16, 20_000, 65536), ("1 KiB", 1024, 5_000, 65536), ("4 MiB", 4 * MIB, 1, 1400))


def by_framer(make: Callable[[], Framer]) -> Count:
    """Frames in segments, as a framer has them."""

    def count(segments: Sequence[bytes]) -> int:
        framer = make()
        return sum(1 for segment in segments for _ in framer.feed(segment))

    return count


def by_receiver(make: Receiver) -> Count:
    """Frames in segments, as one of Twisted's receivers has them."""

    def count(segments: Sequence[bytes]) -> int:
        receiver = make()
        receiver.makeConnection(StringTransport())
        for segment in segments:
            receiver.dataReceived(segment)
        return receiver.count

    return count


def seconds(count: Count, segments: Sequence[bytes], frames: int) -> float:
    """Of the processor, for all frames."""
    started = time.process_time()
    if count(segments) != frames:
        raise SystemExit("frames are missing")
    return time.process_time() - started


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for name, (make, receiver) in PAIRS.items():
        for title, size, frames, segment in LOADS:
            data = make().encode(b"x" * size) * frames
            segments = [data[at : at + segment] for at in range(0, len(data), segment)]
            pairs = [
                tuple(seconds(count, segments, frames) for count in (by_framer(make), by_receiver(receiver)))
                for _ in range(rounds if frames > 1 else max(1, rounds // 3))
            ]
            ours, theirs = (statistics.median(times) * 1e6 / frames for times in zip(*pairs, strict=True))
            ratio = statistics.median(their / our for our, their in pairs)
            print(
                f"{name:<38}{title:>10}: {ours:11.2f} us, {theirs:13.2f} us, {ratio:7.1f} times", flush=True
            )


if __name__ == "__main__":
    main()
