"""`mtls:`: TLS in which the client, too, shows a certificate, of an authority that the server knows (RFC 8446, 4.4.2).

The rule of this module: whoever has no such certificate gets no further than the handshake. Certificates and keys are read
when the endpoint is made, so that what is wrong with them is said then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    wrapClientTLS,
    wrapServerTLS,
)

from ..units import parse_whole

__all__ = ["parse_mtls_client", "parse_mtls_server"]

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----\n?", re.DOTALL)


def parse_mtls_server(
    reactor: Any, path: str, port: str, ca: str, backlog: str = "50", interface: str = "127.0.0.1"
) -> Any:
    """`mtls:FOLDER:PORT:ca=FILE:interface=ADDRESS`, an `IStreamServerEndpoint`.

    Args:
        reactor: The reactor.
        path: A folder of PEM files (`*.pem`), or one such file, with the server's key, its certificate and what leads from
            that to its authority.
        port: Where to listen.
        ca: A PEM file with the certificates of the authorities of clients.
        backlog: Connections that the kernel holds.
        interface: The address to listen on.

    Raises:
        ValueError: A file cannot be read, or has not in it what it should.
    """
    _check_openssl()
    options = _options(_identity(path), _authorities(ca))
    tcp = TCP6ServerEndpoint if ":" in interface else TCP4ServerEndpoint
    bare = tcp(reactor, parse_whole(port, highest=65535), int(backlog), interface)
    return wrapServerTLS(options, bare, reactor)


def parse_mtls_client(
    reactor: Any, host: str, port: str, certificate: str, ca: str = "", name: str = ""
) -> Any:
    """`mtls:HOST:PORT:certificate=FILE:ca=FILE`, an `IStreamClientEndpoint`.

    Args:
        reactor: The reactor.
        host: The server's name or address.
        port: Its port.
        certificate: A PEM file, or a folder of them, with our key and certificate.
        ca: A PEM file with the certificates of the server's authorities; those that the system trusts, unless given.
        name: What the server's certificate must be for, if that is not the host.

    Raises:
        ValueError: As above.
    """
    _check_openssl()
    from twisted.internet.ssl import PrivateCertificate, optionsForClientTLS

    key, (own, *_) = _identity(certificate)
    options = optionsForClientTLS(
        name or host,
        trustRoot=_authorities(ca) if ca else None,
        clientCertificate=PrivateCertificate.fromCertificateAndKeyPair(own, key),
    )
    return wrapClientTLS(options, HostnameEndpoint(reactor, host, parse_whole(port, lowest=1, highest=65535)))


def _check_openssl() -> None:
    if not find_spec("OpenSSL"):
        raise ValueError("mtls needs pyOpenSSL: pip install 'twistnet[tls]'")


def _options(identity: tuple[Any, list[Any]], authorities: Any) -> Any:
    from twisted.internet.ssl import CertificateOptions

    key, (own, *chain) = identity
    return CertificateOptions(
        privateKey=key.original,
        certificate=own.original,
        extraCertChain=[one.original for one in chain],
        trustRoot=authorities,
    )


def _identity(path: str) -> tuple[Any, list[Any]]:
    """The one key in a folder or a file, and the certificates there, of which the first is that key's."""
    from OpenSSL.crypto import FILETYPE_PEM
    from twisted.internet.ssl import KeyPair

    blocks = _blocks(path)
    keys = [KeyPair.load(block, FILETYPE_PEM) for kind, block in blocks if kind.endswith("PRIVATE KEY")]
    if len(keys) != 1:
        raise ValueError(f"there are {len(keys)} keys in {path!r}, not one")
    certificates = _certificates(path, blocks)
    own = [one for one in certificates if one.getPublicKey().keyHash() == keys[0].keyHash()]
    if not own:
        raise ValueError(f"there is no certificate in {path!r} for the key there")
    return keys[0], [own[0], *(one for one in certificates if one not in own)]


def _authorities(path: str) -> Any:
    from twisted.internet.ssl import trustRootFromCertificates

    certificates = _certificates(path, _blocks(path))
    if not certificates:
        raise ValueError(f"there is no certificate in {path!r}")
    return trustRootFromCertificates(certificates)


def _certificates(path: str, blocks: Sequence[tuple[str, bytes]]) -> list[Any]:
    from OpenSSL.crypto import Error
    from twisted.internet.ssl import Certificate

    try:
        return [Certificate.loadPEM(block) for kind, block in blocks if kind == "CERTIFICATE"]
    except Error:
        raise ValueError(f"a certificate in {path!r} cannot be read") from None


def _blocks(path: str) -> list[tuple[str, bytes]]:
    """The kinds and the texts of what is in a PEM file, or in all of those in a folder."""
    where = Path(path)
    try:
        files = sorted(where.glob("*.pem")) if where.is_dir() else [where]
        text = b"\n".join(file.read_bytes() for file in files)
    except OSError as error:
        raise ValueError(f"{path!r} cannot be read: {error.strerror}") from None
    return [(found[1].decode(), found[0]) for found in _BLOCK.finditer(text)]
