"""The `guarded:` endpoint: the policies of a listening port, for any program that listens where a string says.

The rule of this module: the string of the endpoint inside stays as it is, and so does what it means; only the settings of
`ConnectionConfig` are taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from attrs import fields, frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    _WrapperServerEndpoint,
)
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.tcp import makeBinding
from zope.interface import implementer

from ..config import ConnectionConfig, build
from ..errors import ConfigurationError, EndpointStringError
from ..policies.guarded_factory import GuardedFactory, guard
from ..units import did_you_mean
from .datagram import answers_datagrams
from .descriptions import Description
from .inside import server_inside

__all__ = ["GuardedServerEndpoint", "layers_of", "listen_guarded", "parse_guarded", "share_port"]


@implementer(IStreamServerEndpoint)
@frozen(kw_only=True)
class GuardedServerEndpoint:
    """A stream server endpoint with policies around whatever listens on it.

    Attributes:
        reactor: Tells the time.
        endpoint: Where it listens (`IStreamServerEndpoint`).
        config: What is allowed. Its `backlog` and `graceful_timeout` at a stop are for whoever made the endpoint, and
            whoever stops the port.
        name: What it is called in the log and in the counters.
    """

    reactor: Any
    endpoint: Any
    config: ConnectionConfig
    name: str = "guarded"

    def listen(self, factory: Factory | IProtocolFactory) -> Deferred[IListeningPort]:
        """See `IStreamServerEndpoint.listen`."""
        guarded = self.guard(factory)
        if guarded is factory:
            return self.endpoint.listen(factory)  # type: ignore[no-any-return]
        return listen_guarded(self.reactor, self.endpoint, guarded)

    def guard(self, factory: Factory | IProtocolFactory) -> Any:
        """The policies around a factory; the factory itself if there are none."""
        return guard(factory, self.config, clock=self.reactor, name=self.name)


def listen_guarded(reactor: Any, endpoint: Any, factory: GuardedFactory) -> Deferred[IListeningPort]:
    """Listen with a guarded factory; where a PROXY header comes before TLS, it is read there.

    Returns:
        A Deferred of the listening port.
    """
    below = _below_tls(reactor, endpoint)
    if below is not None and factory.config.proxy_protocol != "off":
        endpoint, add_tls = below
        factory = factory.around(add_tls)
    return endpoint.listen(factory).addCallback(factory.attend)  # type: ignore[no-any-return]


def _below_tls(reactor: Any, endpoint: Any) -> tuple[Any, Callable[[Any], Any]] | None:
    """The endpoint that TLS is put on, and what is put on it; `None` where there is no TLS."""
    if isinstance(endpoint, GuardedServerEndpoint):
        below = _below_tls(reactor, endpoint.endpoint)
        return below and (below[0], lambda factory: below[1](endpoint.guard(factory)))
    if isinstance(endpoint, SSL4ServerEndpoint):
        clear = TCP4ServerEndpoint(endpoint._reactor, endpoint._port, endpoint._backlog, endpoint._interface)
        return clear, _tls_with(endpoint._sslContextFactory, reactor)
    if isinstance(endpoint, _tls_endpoints()):
        return endpoint.endpoint, _tls_with(endpoint.connectionCreator, endpoint.clock or reactor)
    return None


def layers_of(endpoint: Any) -> Iterator[Any]:
    """An endpoint, and what it wraps, as far as that is known; the innermost last."""
    layer = endpoint
    while layer is not None:
        yield layer
        layer = _wrapped_by(layer)


def _wrapped_by(endpoint: Any) -> Any:
    """The endpoint within one that wraps another; `None` of any other."""
    if isinstance(endpoint, _WrapperServerEndpoint):
        return endpoint._wrappedEndpoint
    wrappers: Any = (GuardedServerEndpoint, *_tls_endpoints())
    return endpoint.endpoint if isinstance(endpoint, wrappers) else None


def _tls_with(credentials: Any, clock: Any) -> Callable[[Any], Any]:
    """What puts TLS around a factory."""
    from twisted.protocols.tls import TLSMemoryBIOFactory

    return lambda factory: TLSMemoryBIOFactory(credentials, False, factory, clock=clock)


def _tls_endpoints() -> tuple[type[Any], ...]:
    """What `tls:` and `wrapServerTLS` make; nothing without pyOpenSSL."""
    if find_spec("OpenSSL") is None:
        return ()
    from twisted.protocols._sni import TLSServerEndpoint

    return (TLSServerEndpoint,)


def share_port(endpoint: Any) -> None:
    """Have an endpoint of Twisted's share its port with other sockets that ask for it too (SO_REUSEPORT).

    Raises:
        ConfigurationError: It is not known to be an endpoint on TCP.
    """
    *_, inside = layers_of(endpoint)
    if not isinstance(inside, (TCP4ServerEndpoint, TCP6ServerEndpoint, SSL4ServerEndpoint)):
        raise ConfigurationError("is for tcp, tcp6, tls and ssl", ("reuse_port",))
    inside._port = makeBinding(inside._interface, inside._port, reuseAddress=True, reusePort=True)


def parse_guarded(reactor: Any, *args: str, **kwargs: str) -> GuardedServerEndpoint:
    """`guarded:tcp:8080:interface=127.0.0.1:max_connections=100:idle_timeout=30`.

    A key that the endpoint inside takes too, such as `backlog`, is its. Networks are separated by commas.

    Raises:
        EndpointStringError: A setting that cannot be used, a key that nobody knows, or no endpoint inside.
    """
    settings, rest = _divide(args, kwargs)
    inside = str(Description(args[0], args[1:], rest)) if args else ""
    name = f"guarded:{inside}"
    try:
        _check_inside(args, rest)
        config = build(ConnectionConfig, settings)
        endpoint = server_inside(reactor, inside)
        if config.reuse_port:
            share_port(endpoint)
    except ConfigurationError as error:
        raise EndpointStringError(error.problem, error.path, name) from None
    return GuardedServerEndpoint(reactor=reactor, endpoint=endpoint, config=config, name=name)


def _divide(args: Sequence[str], kwargs: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings among the keywords, and the rest, which is the endpoint's own."""
    theirs = Description("guarded", tuple(args)).known
    ours = {field.name: field for field in fields(ConnectionConfig)}
    settings = {
        key: value.split(",") if ours[key].metadata["kind"].repeats else value
        for key, value in kwargs.items()
        if key in ours and key not in theirs
    }
    return settings, {key: value for key, value in kwargs.items() if key not in settings}


def _check_inside(args: Sequence[str], rest: Mapping[str, str]) -> None:
    """Refuse what Twisted would refuse in words that nobody understands."""
    if not args or not args[0]:
        raise ConfigurationError(
            "has no endpoint inside; guarded:tcp:8080:max_connections=100 would have one"
        )
    if answers_datagrams(Description(args[0], tuple(args[1:]))):
        inner = next(word for word in args if word != "fast")
        raise ConfigurationError(f"{inner} is for datagrams, and guarded for streams")
    ours = {field.name for field in fields(ConnectionConfig)}
    if "" in args or "" in rest.values():
        raise ConfigurationError("has an empty part; a colon that is part of a value is written \\:")
    if bare := [word for word in args[1:] if word in ours]:
        raise ConfigurationError(f"has no value; {bare[0]}=...", (bare[0],))
    inside = Description(args[0], tuple(args[1:]), rest)
    known = {*inside.known, *ours}
    if inside.known and (unknown := sorted(rest.keys() - known)):
        raise ConfigurationError(f"unknown key; {did_you_mean(unknown[0], known)}", (unknown[0],))
