from __future__ import annotations

import base64
import hmac
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, KeySerializationEncryption, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Cluster, Endpoint, SecretFileError
from gateway.slurm.keys import HmacKey, RsaKey, load_signing_key

RAW = bytes(range(32))
CLAIMS: dict[str, object] = {"sun": "alice", "exp": 2_000_000_000}


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_file(folder: Path, content: bytes) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def pem(key: PrivateKeyTypes, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def hmac_cluster(path: Path) -> Cluster:
    return Cluster.model_validate({"url": "unix:/run/slurmrestd.sock", "jwt_key_file": str(path)})


def rsa_cluster(path: Path) -> Cluster:
    return Cluster.model_validate({"url": "unix:/run/slurmrestd.sock", "jwt_private_key_file": str(path), "jwt_kid": "2024-a"})


@pytest.mark.parametrize("content", [RAW, RAW + b"\n", b"\n" + RAW, RAW + b" \r\n\x00", b"x" * 4096])
def test_an_hmac_key_is_every_byte_of_its_file(tmp_path: Path, content: bytes) -> None:
    token = load_signing_key(hmac_cluster(private_file(tmp_path, content))).sign(CLAIMS)
    assert jwt.decode(token, content, algorithms=["HS256"]) == CLAIMS


def test_an_hmac_key_less_its_newline_is_another_key(tmp_path: Path) -> None:
    token = load_signing_key(hmac_cluster(private_file(tmp_path, RAW + b"\n"))).sign(CLAIMS)
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, RAW, algorithms=["HS256"])


def test_an_hmac_token_says_hs256(tmp_path: Path) -> None:
    token = load_signing_key(hmac_cluster(private_file(tmp_path, RAW))).sign(CLAIMS)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_an_hmac_key_shorter_than_its_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SecretFileError, match="has 31 bytes"):
        load_signing_key(hmac_cluster(private_file(tmp_path, RAW[:31])))


def test_an_hmac_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = private_file(tmp_path, RAW)
    path.chmod(0o644)
    with pytest.raises(SecretFileError, match="may be used by others"):
        load_signing_key(hmac_cluster(path))


def test_an_rsa_token_is_found_by_its_kid_and_verified_by_the_public_half(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    token = load_signing_key(rsa_cluster(private_file(tmp_path, pem(rsa_key)))).sign(CLAIMS)
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": "2024-a", "typ": "JWT"}
    assert jwt.decode(token, rsa_key.public_key(), algorithms=["RS256"]) == CLAIMS


@pytest.mark.parametrize("content", [b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", bytes(range(256))])
def test_what_is_no_private_key_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SecretFileError, match="no unencrypted private key in PEM"):
        load_signing_key(rsa_cluster(private_file(tmp_path, content)))


def test_a_private_key_under_a_passphrase_is_refused(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    with pytest.raises(SecretFileError, match="no unencrypted private key in PEM"):
        load_signing_key(rsa_cluster(private_file(tmp_path, pem(rsa_key, BestAvailableEncryption(b"passphrase")))))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=1024),  # noqa: S505 - it is to be refused
    ],
    ids=["ec", "rsa-1024"],
)
def test_a_key_of_another_kind_or_too_short_is_refused(tmp_path: Path, key: PrivateKeyTypes) -> None:
    with pytest.raises(SecretFileError, match="no RSA key of at least 2048 bits"):
        load_signing_key(rsa_cluster(private_file(tmp_path, pem(key))))


def test_a_cluster_without_a_key_is_refused() -> None:
    with pytest.raises(SecretFileError, match="names no key"):
        load_signing_key(Cluster.model_construct(url=Endpoint(path="/run/slurmrestd.sock")))


def test_a_key_does_not_show_itself(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    hmac_key = load_signing_key(hmac_cluster(private_file(tmp_path, b"hunter2" * 6)))
    assert isinstance(hmac_key, HmacKey)
    assert (repr(hmac_key), repr(RsaKey(rsa_key, "2024-a"))) == ("HmacKey(secret=Secret(…))", "RsaKey(kid='2024-a')")


def test_an_hmac_key_may_look_like_a_key_of_another_kind(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    """Slurm's own guide once made it so; what counts are the bytes."""
    path = private_file(tmp_path, pem(rsa_key))
    head, claims, signature = load_signing_key(hmac_cluster(path)).sign(CLAIMS).split(".")
    digest = hmac.digest(path.read_bytes(), f"{head}.{claims}".encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "=") == digest


ARMOUR = st.sampled_from([b"PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY", b"ENCRYPTED PRIVATE KEY", b"OPENSSH PRIVATE KEY", b"CERTIFICATE"])
PEM = st.builds(
    lambda kind, raw: b"-----BEGIN %s-----\n%s-----END %s-----\n" % (kind, base64.encodebytes(raw), kind), ARMOUR, st.binary(max_size=200)
)


@given(st.binary(max_size=100) | PEM)
def test_whatever_stands_for_a_private_key_is_refused_in_our_own_words(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    with pytest.raises(SecretFileError):
        load_signing_key(rsa_cluster(private_file(tmp_path_factory.mktemp("key"), content)))


@given(st.binary(min_size=32, max_size=300))
def test_any_bytes_that_are_enough_sign(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    head, payload, signature = load_signing_key(hmac_cluster(private_file(tmp_path_factory.mktemp("key"), content))).sign(CLAIMS).split(".")
    expected = hmac.digest(content, f"{head}.{payload}".encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "=") == expected
