"""The second factor that a configuration describes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.config import Config, Secret, SecretFileError, read_secret
from gateway.signin.factor.chosen import ChosenFactors
from gateway.signin.factor.outcome import SecondFactor
from gateway.signin.factor.radius import RadiusFactor
from gateway.signin.factor.totp import TotpFactor
from gateway.signin.radius import RadiusClient
from gateway.signin.seal import Seal
from gateway.signin.ways import how_to_enrol
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.spent import SpentStore

# Sixteen are what RFC 2865 section 3 asks for at least, so that nobody finds the secret by trying.
_SHORTEST_SECRET = 16


def second_factor(config: Config, store: AuthenticatorStore, spent: SpentStore, seal: Seal) -> SecondFactor:
    """Return the configured kinds in their order, recovery codes before them; raise SecretFileError."""
    return ChosenFactors(tuple(_kinds(config, store, spent, seal)), store, how_to_enrol(config.enrolment.ways))


def _kinds(config: Config, store: AuthenticatorStore, spent: SpentStore, seal: Seal) -> Iterator[SecondFactor]:
    for kind in config.second_factor.kinds:
        if kind == "totp":
            yield TotpFactor(store, spent, seal, config.totp)
        else:
            yield RadiusFactor(_client(config), spent, config.radius.memory)


def _client(config: Config) -> RadiusClient:
    radius = config.radius
    if radius.secret_file is None:
        raise SecretFileError("radius.secret_file is not given")
    return RadiusClient(
        radius.servers,
        radius_secret(radius.secret_file),
        nas_identifier=radius.nas_identifier,
        timeout=radius.timeout,
        attempts=radius.attempts,
    )


def radius_secret(path: Path) -> Secret:
    """Read the secret that is shared with the RADIUS servers, white space around it left out; raise SecretFileError, for a short one too."""
    secret = Secret(read_secret(path).reveal().strip())
    if len(secret) < _SHORTEST_SECRET:
        raise SecretFileError(f"{path} holds fewer than {_SHORTEST_SECRET} characters, which somebody could find by trying")
    return secret
