"""A certificate authority of the tests' own, and a server's certificate from it."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def write(folder: Path, address: str = "127.0.0.1", *, days: int = 60) -> tuple[Path, Path]:
    """Write server.pem, for ``address``, and server.key; return the files of the authority that issued it and of another one."""
    files = []
    for name in ("other", "ca"):
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} of the tests")])
        authority = _certificate(issuer, issuer, key.public_key(), key, x509.BasicConstraints(ca=True, path_length=None), days)
        files.append(folder / f"{name}.pem")
        files[-1].write_bytes(authority.public_bytes(Encoding.PEM))
    server_key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    (folder / "server.pem").write_bytes(_certificate(subject, issuer, server_key.public_key(), key, names, days).public_bytes(Encoding.PEM))
    (folder / "server.key").touch(0o600)
    (folder / "server.key").write_bytes(server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files[1], files[0]


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
    days: int,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public, serial_number=x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=days))
    return builder.add_extension(extension, critical=False).sign(signer, hashes.SHA256())
