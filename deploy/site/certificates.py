"""The site's own certificate authority, and the certificates of its two TLS servers."""

from __future__ import annotations

import os
from pathlib import Path

from .commands import run
from .files import owned_directory
from .layout import Layout

DAYS = "3650"
_CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1
"""


def make(layout: Layout, owners: dict[str, int]) -> None:
    """Make the CA and a key pair NAME.key, NAME.pem for each owner, unless its last file, the CA's own copy, is there."""
    if layout.ca.exists():
        return
    owned_directory(layout.tls, 0, mode=0o755)
    authority = layout.tls / "ca"
    _sign(authority, "slurm-gateway demo CA", "authority", [])
    for name, owner in owners.items():
        _sign(layout.tls / name, "localhost", "server", ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key"])
        _give(layout.tls / f"{name}.key", owner)
    layout.ca.write_bytes(authority.with_suffix(".pem").read_bytes())


def _sign(stem: Path, name: str, section: str, signer: list[str]) -> None:
    """Make a P-256 key and its certificate, signed by the signer or by itself."""
    config = stem.with_suffix(".cnf")
    config.write_text(_CONFIG.format(name=name))
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{stem}.key"]
    ask = ["openssl", "req", "-x509", "-config", str(config), "-extensions", section, "-days", DAYS]
    run([*ask, *key, "-out", f"{stem}.pem", *signer])


def _give(key: Path, owner: int) -> None:
    os.chown(key, owner, owner)
    key.chmod(0o400)
