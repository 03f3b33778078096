"""The fields that are known: none is of two kinds, and the gateway's repair knows no other."""

from __future__ import annotations

import itertools

from gateway.client.jobfile.fields import KNOWN, MEMORY, MINUTES, NUMBERS, OTHERS, TEXTS
from gateway.slurm.repair.fields import RULES


def test_no_field_is_of_two_kinds() -> None:
    for one, other in itertools.combinations((TEXTS, MINUTES, MEMORY, NUMBERS, OTHERS), 2):
        assert one & other == frozenset()


def test_what_the_gateway_repairs_is_known() -> None:
    # Two spellings with which older parsers differ from what they document.
    assert {name for rule in RULES for name in (rule.field, rule.to)} - KNOWN == {"time minimum", "msc_label"}
