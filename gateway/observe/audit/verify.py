"""Whether a trail is what was written (pure): lines in, one after the other, and out comes each place where they are not.

What holds what: ``prev`` every line but the last, the signed heads everything before them, the head file (under the gateway's MAC) the end, and
the head that the store keeps trail and head file together, if both were replaced by older copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.observe.audit import chain
from gateway.observe.audit.head import Head, Seal
from gateway.observe.audit.keys import PublicKey

# A trail that is wrong from end to end is not told line by line.
_MOST = 200


class Line(Protocol):
    """One line of a file: where it stands, its bytes (None when there are too many), their hash, and whether a newline ends it."""

    @property
    def place(self) -> str:
        """The file and the number of the line."""
        ...

    @property
    def data(self) -> bytes | None:
        """The bytes."""
        ...

    @property
    def digest(self) -> str:
        """The hash."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is not as it was written: where, of which kind, and what it means."""

    place: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A line whose hash is known from elsewhere, the head file or the store: ``where`` says from where."""

    trail: str
    seq: int
    line: str
    where: str


@dataclass(slots=True, kw_only=True)
class Found:
    """What was seen, right or wrong."""

    lines: int = 0
    first_seq: int | None = None
    first_at: str = ""
    last_seq: int | None = None
    last_at: str = ""
    heads: int = 0
    last_head_seq: int | None = None
    last_head_at: str = ""
    trails: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    more_faults: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


_BROKEN_OFF = {
    chain.LOST: ("forged_head", "the gateway found its head file missing or forged before it wrote this line: lines may be missing before it"),
    chain.FOREIGN: ("added_lines", "the gateway found lines before this one that it had not written"),
    chain.CUT: ("missing_lines", "the gateway found that lines which it had written before this one were gone"),
}


class Verifier:
    """Takes the lines of a trail in their order, then ``finish``; ``found`` has the result. Nothing that a line may hold makes it raise."""

    def __init__(self, keys: Mapping[str, PublicKey], marks: Sequence[Mark] = ()) -> None:
        self.found = Found()
        self._keys = keys
        self._marks = {(mark.trail, mark.seq): mark for mark in marks}
        self._seen: set[tuple[str, int]] = set()
        self._trail: str | None = None
        self._key: str | None = None
        # The highest number so far, the hash of its line, and where that stands.
        self._seq = 0
        self._tip: str | None = None
        self._at = ""
        # The last line that is none of the chain, until the next one has said whether it was torn.
        self._odd: Line | None = None
        self._torn = False
        self._plain = 0
        self._plain_digest: str | None = None
        self._since_head = 0

    # Lines.

    def take(self, line: Line) -> None:
        """Look at the next line."""
        self.found.lines += 1
        linked = chain.parse(line.data) if line.data is not None else None
        if linked is None:
            self._none_of_the_chain(line)
            return
        self._torn = self._settle_odd(linked)
        if self._begins(linked):
            self._begin(line, linked)
        elif not self._follows(line, linked):
            return
        self._seq, self._tip, self._at = linked.seq, line.digest, line.place
        self._since_head += 1
        self._tell_of(linked)
        if linked.is_head:
            self._check_head(line, linked)
        self._compare(line, linked.seq)

    def _none_of_the_chain(self, line: Line) -> None:
        fields = chain.fields_of(line.data) if line.data is not None else None
        if self._tip is None and fields is not None and not fields.keys() & {"seq", "prev", "sig"}:
            self._plain += 1
            self._plain_digest = line.digest
            return
        self._give_up_odd()
        self._odd = line

    def _settle_odd(self, linked: chain.Linked) -> bool:
        """Tell whether a line that is none of the chain was torn: the signed head behind it says so of these very bytes; else it is a fault."""
        odd = self._odd
        if odd is None:
            return False
        if linked.is_head and linked.text("cause") == chain.TORN and linked.prev == odd.digest:
            self._odd = None
            self.found.notes.append(f"{odd.place}: a line was cut short when the gateway died while it wrote; the next line, signed, says so")
            return True
        self._give_up_odd()
        return False

    def _give_up_odd(self) -> None:
        if self._odd is not None:
            self._fault(self._odd.place, "changed_line", "is no line of the chain: it was changed, or put here by somebody else")
            self._odd = None

    def _begins(self, linked: chain.Linked) -> bool:
        """Tell whether a chain begins here: the first line of all, or a signed number one in the middle of another chain."""
        return self._tip is None or (linked.seq == 1 and linked.is_head and linked.text("trail") != self._trail)

    def _begin(self, line: Line, linked: chain.Linked) -> None:
        before = self._tip
        self._trail, self._key = None, None
        if before is not None:
            self._fault(
                line.place, "new_chain", f"another chain begins here: nothing tells what stood between it and line {self._seq} of the one before"
            )
        if not linked.is_head or linked.text("cause") in chain.ROUTINE:
            self._fault(
                line.place, "cut_at_beginning", f"the trail begins with line {linked.seq}, which never began a file: lines before it are missing"
            )
        elif linked.seq > 1 and self._plain:
            self._fault(line.place, "cut_at_beginning", f"lines that are none of a chain stand before line {linked.seq}")
        elif linked.seq > 1:
            self.found.notes.append(f"{line.place}: begins with line {linked.seq}; the files before it are not among those given")
        elif self._plain:
            self.found.notes.append(f"{line.place}: {self._plain} line(s) from before the chain began, which nothing protects")
            if linked.prev != self._plain_digest:
                self._fault(line.place, "changed_line", "the line before the chain's first was changed")
        elif before is None and linked.seq == 1 and linked.prev != chain.ZEROS and not self._torn:
            self._fault(line.place, "cut_at_beginning", "lines before the chain's first are missing")
        self._plain = 0

    def _follows(self, line: Line, linked: chain.Linked) -> bool:
        """Check number and hash against the line before; tell whether the chain goes on from this line."""
        cause = linked.text("cause") if linked.is_head else ""
        expected = self._seq + 1
        if cause in _BROKEN_OFF:
            return True  # the gateway itself found the trail other than it had left it; it is told of with the head
        if linked.seq < expected:
            self._fault(line.place, "out_of_order", f"line {linked.seq} stands behind line {self._seq}: moved, copied, or put here by somebody else")
            return False
        if linked.seq > expected:
            self._fault(line.place, "missing_lines", f"{_lines(expected, linked.seq - 1)} missing before this one")
        elif linked.prev != self._tip and not self._torn:
            self._fault(self._at, "changed_line", f"line {self._seq} was changed, or the hash of it in the line behind it ({line.place})")
        return True

    def _tell_of(self, linked: chain.Linked) -> None:
        at = linked.text("time")
        if self.found.first_seq is None:
            self.found.first_seq, self.found.first_at = linked.seq, at
        self.found.last_seq, self.found.last_at = linked.seq, at

    def _check_head(self, line: Line, linked: chain.Linked) -> None:
        trail, fingerprint, cause = linked.text("trail"), linked.text("key"), linked.text("cause")
        if not self._has_signed(line, fingerprint):
            return
        self.found.heads += 1
        self.found.last_head_seq, self.found.last_head_at = linked.seq, linked.text("time")
        self._since_head = 0
        if self._trail is None:
            self._trail = trail
            self.found.trails.append(trail)
        elif trail != self._trail:
            self._fault(line.place, "new_chain", f"this line belongs to another chain ({trail!a})")
        if cause in _BROKEN_OFF:
            kind, text = _BROKEN_OFF[cause]
            self._fault(line.place, kind, text)
        if cause == chain.NEW_KEY:
            if fingerprint == self._key:
                self._fault(line.place, "forged_head", "the gateway found a head file under another key, but its own had not changed")
            self.found.notes.append(f"{line.place}: from here on the chain is signed with the key {fingerprint}")
        elif self._key is not None and fingerprint != self._key:
            self._fault(line.place, "wrong_signature", "signed with another key than the head before, without the line that announces a new one")
        self._key = fingerprint

    def _has_signed(self, line: Line, fingerprint: str) -> bool:
        key, parts = self._keys.get(fingerprint), chain.signed_part(line.data or b"")
        if parts is None:
            self._fault(line.place, "wrong_signature", "this head has no signature: it was changed, or not written by the gateway")
        elif key is None:
            self._fault(line.place, "wrong_signature", f"signed with a key that is not among those given ({fingerprint[:64]!a})")
        elif not key.has_signed(*parts):
            self._fault(line.place, "wrong_signature", "the signature is wrong: this line was changed, or not signed by the gateway")
        else:
            return True
        return False

    def _compare(self, line: Line, seq: int) -> None:
        mark = self._marks.get((self._trail or "", seq))
        if mark is None:
            return
        self._seen.add((mark.trail, seq))
        if mark.line != line.digest:
            self._fault(line.place, "changed_line", f"line {seq} is not the one that {mark.where} knows: it was changed, or all before it were")

    # The end.

    def finish(self, head: Head | None = None, seal: Seal | None = None, where: str = "the head file") -> Found:
        """Compare the end with the head file, if one was looked for, and with the marks; return what was found."""
        if head is not None and head.next is not None and self._odd is not None:
            self.found.notes.append(f"{self._odd.place}: the last line was cut short when the gateway died; it will say so when it writes again")
            self._odd = None
        self._give_up_odd()
        if self._tip is None and self._plain:
            self.found.notes.append(f"{self._plain} line(s) that are not chained, and which nothing protects")
        if seal is not None:
            self._check_end(head, seal, where)
        for mark in self._marks.values():
            self._check_mark(mark)
        if self._since_head and self._tip is not None:
            self.found.notes.append(f"{self._since_head} line(s) since the last signed head")
        return self.found

    def _check_end(self, head: Head | None, seal: Seal, where: str) -> None:
        if head is None:
            text = "is missing" if seal is Seal.MISSING else "was changed or forged: it does not bear the gateway's MAC"
            if seal is not Seal.MISSING or self._tip is not None:
                self._fault(where, "forged_head", f"{text}; nothing tells whether the last lines are there")
            return
        if seal is Seal.OTHER_KEY:
            self._fault(where, "forged_head", "was made with another key than the gateway's")
        elif seal is Seal.UNCHECKED:
            self.found.notes.append(f"{where} was believed without its MAC, which takes the gateway's private key")
        if self._trail is not None and head.trail != self._trail:
            self._fault(where, "forged_head", "belongs to another chain")
            return
        last = head.next.seq if head.next is not None else head.seq
        if self._seq < head.seq:
            self._fault(self._at or where, "cut_at_end", f"{_lines(self._seq + 1, head.seq)} missing: cut off, or lost when the machine went down")
        elif self._seq > last:
            self._fault(
                self._at,
                "added_lines",
                f"the trail goes on behind line {last}, where the gateway left it: lines were added, or {where} is an older copy",
            )
        elif self._seq == head.seq and self._tip is not None and self._tip != head.line:
            self._fault(self._at, "changed_line", f"line {self._seq} is not the one that {where} knows")

    def _check_mark(self, mark: Mark) -> None:
        if (mark.trail, mark.seq) in self._seen:
            return
        if mark.trail not in self.found.trails:
            self._fault(mark.where, "missing_trail", f"knows line {mark.seq} of a chain of which nothing is here ({mark.trail!a})")
        elif mark.trail == self._trail and mark.seq > self._seq:
            self._fault(
                self._at, "cut_at_end", f"{_lines(self._seq + 1, mark.seq)} missing: {mark.where} knows them. Cut off, or replaced by an older copy"
            )

    def _fault(self, place: str, kind: str, text: str) -> None:
        if len(self.found.faults) < _MOST:
            self.found.faults.append(Fault(place=place, kind=kind, text=text))
        else:
            self.found.more_faults += 1


def _lines(first: int, last: int) -> str:
    return f"line {first} is" if first == last else f"lines {first} to {last} are"
