"""An authority and what it signs, made once a process.

The rule of this module: nothing is written to disk, and nothing depends on the day.
"""

from __future__ import annotations

import datetime
import functools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.ssl import Certificate, PrivateCertificate, trustRootFromCertificates

__all__ = ["authority", "authority_pem", "certificate", "pem", "trust_root"]

FIRST_DAY = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
LAST_DAY = datetime.datetime(2049, 12, 31, tzinfo=datetime.UTC)

Signed = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=_name(issuer),
        subject_name=_name(subject),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=FIRST_DAY,
        not_valid_after=LAST_DAY,
    )


@functools.cache
def authority(name: str = "authority") -> Signed:
    """A certificate that may sign others, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    signed = _builder(name, name, key).add_extension(constraints, critical=True).sign(key, hashes.SHA256())
    return signed, key


@functools.cache
def pem(host: str, signer: str = "authority") -> bytes:
    """A host's certificate, signed by the authority, followed by its key."""
    _, authoritys_key = authority(signer)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([x509.DNSName(host)])
    signed = (
        _builder(host, signer, key)
        .add_extension(alternatives, critical=False)
        .sign(authoritys_key, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate(host: str, signer: str = "authority") -> PrivateCertificate:
    """A host's certificate with its key, as Twisted has it."""
    loaded: PrivateCertificate = PrivateCertificate.loadPEM(pem(host, signer))
    return loaded


def authority_pem(signer: str = "authority") -> bytes:
    """The authority's own certificate."""
    signed, _ = authority(signer)
    return signed.public_bytes(serialization.Encoding.PEM)


def trust_root(signer: str = "authority") -> Any:
    """Trust in the authority, and in nobody else."""
    return trustRootFromCertificates([Certificate.loadPEM(authority_pem(signer))])
