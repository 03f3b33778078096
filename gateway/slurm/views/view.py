"""A view: what of a list is asked for, and in which form."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from gateway.slurm.views.cursor import Position


class Listing(enum.Enum):
    """Which list it is, with the name that its items have in the answer."""

    JOBS = "jobs"
    NODES = "nodes"
    ACCOUNTED = "accounted"  # slurmdbd's jobs

    @property
    def key(self) -> str:
        """The name of the list in Slurm's answer."""
        return "nodes" if self is Listing.NODES else "jobs"


class Form(enum.Enum):
    """The media type of the answer."""

    JSON = "application/json"
    NDJSON = "application/x-ndjson"
    CSV = "text/csv"


# The one version whose jobs come without the names of their owners, unless slurmctld has them for a reason of its own.
NAMELESS_VERSION = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Equal for requests that get the same answer; hashable, for it is part of the key of a kept answer.

    ``fields`` are paths with dots, in the order in which they were asked for; none means all (in CSV: ``table.COLUMNS``). The filters are
    sets of what is let through, and None lets everything through; states are in Slurm's full words. ``after`` is the last item of the page
    before. ``version`` is the number at the end of the API's version.
    """

    listing: Listing
    version: int
    form: Form = Form.JSON
    fields: tuple[str, ...] = ()
    users: frozenset[str] | None = None
    states: frozenset[str] | None = None
    partitions: frozenset[str] | None = None
    names: frozenset[str] | None = None
    limit: int | None = None
    after: Position | None = None
    known: tuple[str, int] | None = None

    @property
    def paged(self) -> bool:
        """Whether the items are to come in an order that does not change."""
        return self.limit is not None or self.after is not None

    def knowing(self, username: str, uid: int) -> View:
        """Return the same view, where the jobs of ``uid`` are ``username``'s, if that makes a difference: v0.0.36 tells uids alone."""
        if self.listing is Listing.JOBS and self.version == NAMELESS_VERSION and self.users is not None and username in self.users:
            return replace(self, known=(username, uid))
        return self
