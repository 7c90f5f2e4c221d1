"""Make certificates of authorities, servers and users for tests."""

from __future__ import annotations

import datetime as dt
import inspect
import ipaddress
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

LOCAL = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    names = inspect.signature(x509.KeyUsage).parameters
    return x509.KeyUsage(
        **{name: name == "digital_signature" for name in names}
        | {"key_cert_sign": signs_certificates}
    )


def write_certificate(
    place: tuple[Path, str],
    subject: str,
    issuer: str,
    keys: tuple[Any, Any],
    addresses: Collection[x509.GeneralName] = (),
) -> tuple[Path, Path]:
    """Write a certificate and its key, and return their paths.

    Parameters
    ----------
    place
        the folder, and the name of both files
    subject, issuer
        the names of its owner and of the authority
    keys
        the private keys of both
    addresses
        the addresses of its owner; an authority has none
    """
    folder, name = place
    key, signing_key = keys
    now = dt.datetime.now(dt.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not addresses, path_length=None), critical=True)
        # Python 3.13 and later require the identifiers of the keys, and their purpose.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
        .add_extension(_key_usage(signs_certificates=not addresses), critical=True)
    )
    if addresses:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(list(addresses)), critical=False
        )
    certificate = builder.sign(signing_key, hashes.SHA256())
    path = folder / f"{name}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path = folder / f"{name}.key"
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    key_path.chmod(0o600)
    return path, key_path
