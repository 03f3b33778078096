from __future__ import annotations

import pytest

from gateway.signin.factor import ChosenFactors, NotEnrolled, Proved, RadiusFactor, SecondFactor, TotpFactor
from tests.unit.fakes import FakeFactor


def test_every_kind_is_a_second_factor() -> None:
    kinds: list[type[SecondFactor]] = [TotpFactor, RadiusFactor, ChosenFactors, FakeFactor]
    assert all(callable(kind.verify) and callable(kind.could_be) for kind in kinds)


@pytest.mark.parametrize("method", ["totp", "recovery_code", "radius"])
def test_a_proof_says_by_what(method: str) -> None:
    assert Proved(method).method == method


def test_nobody_is_told_a_way_that_is_not_known() -> None:
    assert NotEnrolled().how is None
