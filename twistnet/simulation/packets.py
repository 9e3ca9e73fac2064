"""What travels: one class for the segments of a stream, for datagrams and for what the network says about them.

The rule of this module: a packet is the same object on its way and in the trace. It is written down when it is sent,
and its fate is filled in when it is known.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

__all__ = ["ACK", "FIN", "PSH", "RST", "SYN", "Endpoint", "Fate", "Packet", "Transport"]

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
"""The flags of a TCP segment, with the bits of RFC 9293, section 3.1."""


class Transport(enum.Enum):
    """What carries a packet."""

    TCP = "TCP"
    UDP = "UDP"
    UNIX_STREAM = "UNIX stream"
    UNIX_DATAGRAM = "UNIX datagram"


class Fate(enum.Enum):
    """What became of a packet."""

    IN_FLIGHT = "in flight"
    ARRIVED = "arrived"
    LOST = "lost"
    CUT_OFF = "cut off"
    HELD = "held"
    OVERFLOWED = "queue full"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


class Endpoint(NamedTuple):
    """One end of a conversation.

    Attributes:
        host: The name of the host, as it was given to `Network.host`; empty for a group or an address of nobody.
        address: A numeric IPv4 or IPv6 address, or the path of a UNIX socket (empty if it has none).
        port: 0 to 65535; 0 for UNIX sockets.
    """

    host: str
    address: str
    port: int

    def __str__(self) -> str:
        name = self.host or self.address
        return f"{name}:{self.port}" if self.port else f"{name} {self.address}".rstrip()


class Packet:
    """A segment or a datagram.

    Attributes:
        sent: When it left, in virtual seconds.
        arrived: When it arrived, or `None`.
        fate: What became of it.
        transport: What it belongs to.
        source: Who sent it.
        destination: Who it is for.
        flags: Of a TCP segment: `SYN`, `ACK`, `FIN`, `RST`, `PSH` together; 0 for everything else.
        seq: The sequence number of its first octet, from 0 for the SYN; 0 for datagrams.
        ack: The sequence number that its sender expects next.
        payload: Its octets.
        copy: Whether it is a retransmission or a duplicate of one that was sent before.
        tries: How often it has been lost so far.
    """

    __slots__ = (
        "ack",
        "arrived",
        "copy",
        "destination",
        "fate",
        "flags",
        "payload",
        "sent",
        "seq",
        "source",
        "transport",
        "tries",
    )

    def __init__(
        self,
        sent: float,
        transport: Transport,
        source: Endpoint,
        destination: Endpoint,
        payload: bytes = b"",
        flags: int = 0,
        seq: int = 0,
        ack: int = 0,
    ) -> None:
        self.sent = sent
        self.transport = transport
        self.source = source
        self.destination = destination
        self.payload = payload
        self.flags = flags
        self.seq = seq
        self.ack = ack
        self.arrived: float | None = None
        self.fate = Fate.IN_FLIGHT
        self.copy = False
        self.tries = 0

    def again(self, now: float) -> Packet:
        """The same octets, sent once more."""
        packet = Packet(
            now,
            self.transport,
            self.source,
            self.destination,
            self.payload,
            self.flags,
            self.seq,
            self.ack,
        )
        packet.copy = True
        packet.tries = self.tries
        return packet
