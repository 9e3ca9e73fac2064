"""`twistnet request`: JSON from standard input, a value a line, to a messages service; its replies to standard output.

The rule of this module: how to reach the service, over a stream or over datagrams; what is asked is the conversation's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ..endpoints.datagram_client import DatagramPeer, DatagramTarget
from ..errors import BadMessage, LocalProtocolError, RemoteError
from ..protocols.message_client import MessageClient, Outstanding
from ..units import LONGEST_DATAGRAM
from ..wire.messages import DEEPEST
from .outcome import network_problems
from .questions import Asking, Conversation
from .standard import terminal_kept
from .targets import stream_target

__all__ = ["Asking", "ask_datagrams", "ask_stream"]

FAREWELL = 1.0
"""Seconds that a peer has to close as well, when all is answered."""


async def ask_stream(reactor: Any, target: Sequence[str], asking: Asking) -> int:
    """Ask a stream endpoint what standard input says.

    Returns:
        The exit status: 1 if there was an error among the replies, 2 if a line cannot be asked.

    Raises:
        ValueError: The target is none.
        NetworkProblem: The network would not have it.
    """
    endpoint = stream_target(reactor, target)
    with network_problems(" ".join(target), asking.timeout), terminal_kept():
        client = _Client(asking.framing, reactor, max_message=asking.max_message, max_depth=DEEPEST)
        await connectProtocol(endpoint, client).addTimeout(asking.timeout, reactor)
        conversation = Conversation(reactor, client, asking)
        client.lost.addBoth(conversation.channel_ended)
        try:
            status = await conversation.done
        except BaseException:
            client.transport.loseConnection()
            raise
        client.close()
        await client.lost.addTimeout(FAREWELL, reactor, lambda result, timeout: None)
        return status


async def ask_datagrams(reactor: Any, target: DatagramTarget, shown: str, asking: Asking) -> int:
    """Ask a datagram peer; otherwise as `ask_stream`. One whose reply does not come hurts no other."""
    with network_problems(shown, asking.timeout), terminal_kept():
        connecting = Deferred.fromCoroutine(target.connect(reactor))
        peer = await connecting.addTimeout(asking.timeout, reactor)
        try:
            return await Conversation(reactor, _Datagrams(peer, reactor), asking).done
        finally:
            await peer.close()


class _Client(MessageClient):
    """Requests over a stream.

    Attributes:
        lost: Fires with `None` once the connection is lost.
    """

    loses = False

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.lost: Deferred[Any] = Deferred()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.lost.callback(None)


class _Datagrams:
    """Requests over datagrams."""

    loses = True

    def __init__(self, peer: DatagramPeer, clock: IReactorTime) -> None:
        self.ended: Failure | None = None
        self._peer = peer
        self._requests = Outstanding(_checked, clock, DEEPEST)
        peer.received, peer.refused = self._received, self._refused

    def request(self, value: Any, timeout: float | None) -> Deferred[Any]:
        """See `MessageClient.request`."""
        datagram, reply = self._requests.add(value, timeout)
        try:
            self._peer.send(datagram)
        except MessageLengthError:
            reply.addErrback(lambda failure: None).cancel()
            raise LocalProtocolError(f"{len(datagram)} octets are too long for a datagram") from None
        except (OSError, error.ConnectionRefusedError):
            self._end(Failure())
        return reply

    def _received(self, datagram: bytes) -> None:
        """A reply; or what is none, which may have come from anybody."""
        try:
            self._requests.reply(datagram)
        except BadMessage as problem:
            click.echo(f"not a reply: {problem}", err=True)
        except RemoteError as problem:
            click.echo(f"an error that names no request: {problem}", err=True)

    def _refused(self) -> None:
        self._end(Failure(error.ConnectionRefusedError("nothing listens there")))

    def _end(self, reason: Failure) -> None:
        self.ended = self.ended or reason
        self._requests.fail(self.ended)


def _checked(text: bytes) -> bytes:
    if len(text) > LONGEST_DATAGRAM:
        raise LocalProtocolError(f"{len(text)} octets are too long for a datagram")
    return text
