"""The keys that Slurm JWTs are signed with: HS256 from a file's raw bytes, RS256 from a PEM file and its ``kid``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import HMACAlgorithm

from gateway.config import Cluster, Secret, SecretFileError, read_secret

# RFC 7518 section 3.2: a key of at least the hash's size; section 3.3: RSA keys of 2048 bits or more.
_MIN_HMAC_BYTES = 32
_MIN_RSA_BITS = 2048


class SigningKey(Protocol):
    """Something that signs claims."""

    def sign(self, claims: dict[str, object]) -> str:
        """Return the compact JWT (RFC 7519)."""
        ...


class _AnyBytes(HMACAlgorithm):
    """HS256 whose key may be any bytes: Slurm's own guide once made the key with 'openssl genrsa', and PyJWT takes such bytes for a mistake."""

    def __init__(self) -> None:
        super().__init__(HMACAlgorithm.SHA256)

    def prepare_key(self, key: str | bytes) -> bytes:
        return key.encode() if isinstance(key, str) else key


_HS256 = jwt.PyJWS(algorithms=[])
_HS256.register_algorithm("HS256", _AnyBytes())


@dataclass(frozen=True, slots=True)
class HmacKey:
    """HS256, the key being every byte of the file: Slurm strips nothing (src/plugins/auth/jwt/auth_jwt.c, init_jwt_key)."""

    secret: Secret

    def sign(self, claims: dict[str, object]) -> str:
        """Return the compact JWT."""
        return _HS256.encode(json.dumps(claims, separators=(",", ":")).encode(), self.secret.reveal(), algorithm="HS256", headers={"typ": "JWT"})


@dataclass(frozen=True, slots=True)
class RsaKey:
    """RS256 with the ``kid`` that finds its public half in Slurm's JWKS; Slurm answers 500 without one."""

    private: RSAPrivateKey
    kid: str

    def __repr__(self) -> str:
        return f"RsaKey(kid={self.kid!r})"

    def sign(self, claims: dict[str, object]) -> str:
        """Return the compact JWT."""
        return jwt.encode(claims, self.private, algorithm="RS256", headers={"kid": self.kid})


def load_signing_key(cluster: Cluster) -> SigningKey:
    """Read the key that ``cluster`` names; raise SecretFileError when it is missing, open to others, too short or no key."""
    if cluster.jwt_key_file is not None:
        secret = read_secret(cluster.jwt_key_file)
        if len(secret) < _MIN_HMAC_BYTES:
            raise SecretFileError(f"{cluster.jwt_key_file} has {len(secret)} bytes; a key for HS256 has at least {_MIN_HMAC_BYTES}")
        return HmacKey(secret)
    if cluster.jwt_private_key_file is None or cluster.jwt_kid is None:
        raise SecretFileError("the cluster names no key")
    pem = read_secret(cluster.jwt_private_key_file)
    try:
        private = load_pem_private_key(pem.reveal(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SecretFileError(f"{cluster.jwt_private_key_file} is no unencrypted private key in PEM") from None
    if not isinstance(private, RSAPrivateKey) or private.key_size < _MIN_RSA_BITS:
        raise SecretFileError(f"{cluster.jwt_private_key_file} is no RSA key of at least {_MIN_RSA_BITS} bits")
    return RsaKey(private, cluster.jwt_kid)
