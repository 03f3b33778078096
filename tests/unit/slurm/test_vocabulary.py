from __future__ import annotations

import pytest

from gateway.slurm.vocabulary import JOB_STATES, NODE_STATES, node_words


@pytest.mark.parametrize(
    ("short", "word"), [("PD", "PENDING"), ("R", "RUNNING"), ("CG", "COMPLETING"), ("OOM", "OUT_OF_MEMORY"), ("CD", "COMPLETED")]
)
def test_a_state_may_be_told_by_squeues_short_word(short: str, word: str) -> None:
    assert JOB_STATES[short] == word


@pytest.mark.parametrize(("short", "word"), [("MIX", "MIXED"), ("ALLOC", "ALLOCATED"), ("MAINT", "MAINTENANCE"), ("DRNG", "DRAINING")])
def test_a_nodes_state_may_be_told_by_sinfos_short_word(short: str, word: str) -> None:
    assert NODE_STATES[short] == word


@pytest.mark.parametrize("known", [JOB_STATES, NODE_STATES])
def test_every_word_leads_to_one_that_is_known_itself(known: dict[str, str]) -> None:
    assert all(known[word] == word for word in known.values())


@pytest.mark.parametrize(
    ("told", "more"),
    [
        (["IDLE", "DRAIN"], {"DRAINED"}),
        (["DOWN", "DRAIN"], {"DRAINED"}),
        (["ALLOCATED", "DRAIN"], {"DRAINING"}),
        (["MIXED", "DRAIN"], {"DRAINING"}),
        (["IDLE", "COMPLETING", "DRAIN"], {"DRAINING"}),
        (["idle"], set()),
    ],
)
def test_a_node_that_drains_is_draining_while_it_works_and_drained_then(told: list[str], more: set[str]) -> None:
    assert node_words(told) == {word.upper() for word in told} | more
