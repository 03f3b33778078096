from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.config import Config, ConfigurationError, SecretFileError, load
from gateway.signin.factor import NotEnrolled, SecondFactor
from gateway.signin.factor.configured import radius_secret, second_factor
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import Database
from gateway.store.sealing import KeyRing
from gateway.store.spent import SpentStore
from tests.unit.fakes import RingSeal
from tests.web import fakes

SEAL = RingSeal(KeyRing("k1", {"k1": AESGCM(b"1" * 32)}))


def configured(folder: Path, *kinds: str, **radius: object) -> Config:
    fakes.private(folder / "radius", b"a secret of sixteen or more\n")
    given = {"servers": ["127.0.0.1:1812"], "secret_file": f"{folder}/radius", **radius}
    return load(fakes.site(folder, "http://127.0.0.1:1", {"second_factor": {"kinds": list(kinds)}, "radius": given}))


def chosen(config: Config, database: Database) -> SecondFactor:
    return second_factor(config, AuthenticatorStore(database), SpentStore(database), SEAL)


@pytest.mark.parametrize(("kinds", "pin", "digits"), [(("totp",), False, True), (("radius",), True, True), (("totp", "radius"), True, True)])
def test_the_forms_of_a_code_are_those_of_the_configured_kinds(
    tmp_path: Path, database: Database, kinds: tuple[str, ...], pin: bool, digits: bool
) -> None:
    factor = chosen(configured(tmp_path, *kinds), database)
    assert (factor.could_be("pin4711"), factor.could_be("123456"), factor.could_be("abcd-efgh-2345-zyxw")) == (pin, digits, True)


async def test_somebody_without_a_second_factor_is_told_the_configured_way(tmp_path: Path, database: Database) -> None:
    outcome = await chosen(configured(tmp_path, "totp"), database).verify("carol", "123456", "", 0.0)
    assert isinstance(outcome, NotEnrolled)
    assert "enroll --ticket" in (outcome.how or "")


@pytest.mark.parametrize("missing", [{"servers": []}, {"secret_file": None}])
def test_radius_without_its_servers_or_its_secret_is_no_configuration(tmp_path: Path, missing: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=r"radius\.servers and radius\.secret_file"):
        configured(tmp_path, "radius", **missing)


@pytest.mark.parametrize("kinds", [(), ("totp", "totp"), ("webauthn",)])
def test_kinds_that_make_no_sense_are_no_configuration(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        configured(tmp_path, *kinds)


def test_a_secret_is_read_without_its_newline(tmp_path: Path) -> None:
    assert radius_secret(fakes.private(tmp_path / "secret", b"  sixteen letters.\n")).reveal() == b"sixteen letters."


@pytest.mark.parametrize("content", [b"fifteen letters\n", b"\n" * 20])
def test_a_secret_that_can_be_found_by_trying_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SecretFileError, match="fewer than 16"):
        radius_secret(fakes.private(tmp_path / "secret", content))
