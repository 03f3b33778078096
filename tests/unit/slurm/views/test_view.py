from __future__ import annotations

import pickle

import pytest

from gateway.slurm.views.view import Listing, View

ALICE = View(listing=Listing.JOBS, version=36, users=frozenset({"alice"}))


def test_views_that_ask_for_the_same_are_one_key() -> None:
    same = View(listing=Listing.JOBS, version=36, users=frozenset(["alice"]))
    assert {ALICE: 1}[same] == 1


def test_a_view_travels_between_processes() -> None:
    assert pickle.loads(pickle.dumps(ALICE)) == ALICE  # noqa: S301 - our own


@pytest.mark.parametrize(("listing", "key"), [(Listing.JOBS, "jobs"), (Listing.ACCOUNTED, "jobs"), (Listing.NODES, "nodes")])
def test_a_list_is_found_under_its_name(listing: Listing, key: str) -> None:
    assert listing.key == key


@pytest.mark.parametrize(
    ("view", "paged"),
    [(ALICE, False), (View(listing=Listing.JOBS, version=42, limit=1), True), (View(listing=Listing.JOBS, version=42, after=(1, 0)), True)],
)
def test_a_view_has_pages_when_a_limit_or_a_cursor_is_given(view: View, paged: bool) -> None:
    assert view.paged is paged


def test_whose_uid_is_known_is_kept_where_jobs_tell_uids_alone() -> None:
    assert ALICE.knowing("alice", 70001).known == ("alice", 70001)


@pytest.mark.parametrize(
    "view",
    [
        View(listing=Listing.JOBS, version=37, users=frozenset({"alice"})),
        View(listing=Listing.ACCOUNTED, version=36, users=frozenset({"alice"})),
        View(listing=Listing.JOBS, version=36, users=frozenset({"bob"})),
        View(listing=Listing.JOBS, version=36),
    ],
)
def test_elsewhere_it_makes_no_difference_who_asks(view: View) -> None:
    assert view.knowing("alice", 70001) is view
