from __future__ import annotations

import pytest

from gateway.signin.ways import how_to_enrol, open_ways


@pytest.mark.parametrize(
    ("ways", "there", "absent"),
    [
        (("administrator", "ticket", "session"), ("enroll USER", "enroll --ticket USER", "enroll-me --ticket"), ("Run 'slurm-gateway enroll-me'",)),
        (("munge",), ("Run 'slurm-gateway enroll-me'",), ("enroll USER", "ticket")),
        (("session",), ("no way of enrolling is open",), ("enroll-me", "ticket")),
        ((), ("no way of enrolling is open",), ("enroll-me",)),
    ],
)
def test_somebody_without_a_second_factor_is_told_the_ways_that_are_open(
    ways: tuple[str, ...], there: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    said = how_to_enrol(ways)
    assert [text for text in there if text not in said] + [text for text in absent if text in said] == []


@pytest.mark.parametrize(("ways", "said"), [(("munge",), "'slurm-gateway enroll-me' on a login node."), ((), "nobody enrols")])
def test_a_closed_way_names_the_open_ones(ways: tuple[str, ...], said: str) -> None:
    assert said in open_ways(ways)
