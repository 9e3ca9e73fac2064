"""A certificate for 127.0.0.1 that signs itself, made once a process.

The rule of this module: nothing is written to disk.
"""

from __future__ import annotations

import datetime
import functools
import ipaddress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL.crypto import X509, PKey
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    trustRootFromCertificates,
)

__all__ = ["serving", "trusting"]

HOST = "127.0.0.1"


@functools.cache
def certificate() -> tuple[PKey, X509]:
    """The key and the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return PKey.from_cryptography_key(key), X509.from_cryptography(signed)


def serving() -> Any:
    """What a server needs to show the certificate."""
    key, signed = certificate()
    return CertificateOptions(privateKey=key, certificate=signed)


def trusting() -> Any:
    """What a client needs that trusts the certificate."""
    roots = trustRootFromCertificates([Certificate(certificate()[1])])
    return optionsForClientTLS(HOST, trustRoot=roots)
