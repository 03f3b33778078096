"""Whose turn it is (pure): a few calls of each person at once, and those that wait go round from person to person.

First come, first served over all would let three hundred calls of one person stand before the one call of another.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Generic, TypeVar

Ticket = TypeVar("Ticket")


class Full(Enum):
    """Which bound keeps a call from waiting."""

    OF_USER = "waiting_per_user"
    OF_ALL = "waiting"


class Turns(Generic[Ticket]):
    """Counts the calls under way of each person, and keeps the tickets of those that wait.

    ``_ring`` holds those who wait and are below ``per_user``, in the order of their turns, so that every step here costs the same
    however many wait.
    """

    def __init__(self, *, per_user: int, waiting_per_user: int, waiting: int) -> None:
        self._per_user = per_user
        self._waiting_per_user = waiting_per_user
        self._most = waiting
        self._under_way: dict[str, int] = {}
        self._queues: dict[str, OrderedDict[Ticket, None]] = {}
        self._ring: OrderedDict[str, None] = OrderedDict()
        self.waiting = 0

    @property
    def held_back(self) -> int:
        """How many of those that wait do so because of other calls of the same person."""
        return sum(len(queue) for user, queue in self._queues.items() if user not in self._ring)

    def enter(self, user: str) -> bool:
        """Count a call as under way, unless so many of this person's are already."""
        count = self._under_way.get(user, 0)
        if count >= self._per_user:
            return False
        self._under_way[user] = count + 1
        if self._ring and count + 1 == self._per_user:
            self._ring.pop(user, None)
        return True

    def leave(self, user: str) -> None:
        """Note that a call under way has ended."""
        count = self._under_way[user] - 1
        if count:
            self._under_way[user] = count
        else:
            del self._under_way[user]
        if self.waiting and user in self._queues:
            self._ring.setdefault(user)

    def queue(self, user: str, ticket: Ticket, *, first: bool = False) -> Full | None:
        """Put a ticket into the queue, or return which bound forbids it; ``first`` puts it before the person's others, whatever the bounds."""
        mine = self._queues.get(user)
        if not first:
            if self.waiting >= self._most:
                return Full.OF_ALL
            if mine is not None and len(mine) >= self._waiting_per_user:
                return Full.OF_USER
        if mine is None:
            mine = self._queues[user] = OrderedDict()
            if self._under_way.get(user, 0) < self._per_user:
                self._ring[user] = None
        mine[ticket] = None
        if first:
            mine.move_to_end(ticket, last=False)
        self.waiting += 1
        return None

    def withdraw(self, user: str, ticket: Ticket) -> None:
        """Take a ticket out again, if it still waits."""
        mine = self._queues.get(user)
        if mine is not None and ticket in mine:
            del mine[ticket]
            self._taken_out(user, mine)

    def next(self) -> Ticket | None:
        """Return the ticket whose turn it is, its call counted as under way; None when nobody waits who may go."""
        if not self._ring:
            return None
        user, _ = self._ring.popitem(last=False)
        mine = self._queues[user]
        ticket, _ = mine.popitem(last=False)
        self._under_way[user] = self._under_way.get(user, 0) + 1
        if mine and self._under_way[user] < self._per_user:
            self._ring[user] = None
        self._taken_out(user, mine)
        return ticket

    def clear(self) -> list[Ticket]:
        """Send everybody home who waits; return their tickets."""
        tickets = [ticket for queue in self._queues.values() for ticket in queue]
        self._queues.clear()
        self._ring.clear()
        self.waiting = 0
        return tickets

    def _taken_out(self, user: str, mine: OrderedDict[Ticket, None]) -> None:
        self.waiting -= 1
        if not mine:
            del self._queues[user]
            self._ring.pop(user, None)


def share(of_all: int, workers: int) -> int:
    """Return a worker's share of what all of them may have together, rounded up: nobody's is nothing."""
    return -(-of_all // workers)
