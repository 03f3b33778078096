from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.observe.audit import chain
from gateway.observe.audit.file import ChainedFile, head_path
from gateway.observe.audit.head import Head, Seal, decode, encode
from gateway.observe.audit.verify import Found, Mark, Verifier
from tests.unit.observe.audit.conftest import KEY, OTHER_KEY, event, kinds, verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    place: str
    data: bytes | None
    digest: str


def verify(lines: Sequence[bytes], *, head: Head | None = None, seal: Seal | None = None, marks: tuple[Mark, ...] = ()) -> Found:
    verifier = Verifier({KEY.fingerprint: KEY.public}, marks)
    for number, line in enumerate(lines, start=1):
        verifier.take(Raw(place=f"F:{number}", data=line, digest=chain.digest(line)))
    return verifier.finish(head, seal, "HEAD")


def _made() -> tuple[list[bytes], Head]:
    folder = Path(tempfile.mkdtemp())
    try:
        trail = ChainedFile(folder / "audit.log", KEY, clock=lambda: 1_700_000_000.0)
        for number in range(4):
            trail.append([event(number)])
        trail.sign("interval")
        trail.append([event(4)])
        trail.append([event(5)])
        trail.close()
        head = decode(head_path(folder / "audit.log").read_bytes(), KEY)[0]
        assert head is not None
        return (folder / "audit.log").read_bytes().splitlines(keepends=True), head
    finally:
        shutil.rmtree(folder)


# Lines 1 (a head) 2 3 4 5, 6 (a head), 7 8.
SOUND, HEAD = _made()
NEVER = Mark(trail=HEAD.trail, seq=10**6, line="0" * 64, where="nowhere")


def _edited(number: int, old: bytes, new: bytes) -> list[bytes]:
    assert old in SOUND[number - 1]
    return [*SOUND[: number - 1], SOUND[number - 1].replace(old, new, 1), *SOUND[number:]]


def _relinked(start: int, lines: Sequence[bytes]) -> list[bytes]:
    """Link lines anew from number ``start`` on, as somebody does who knows how, but has no key."""
    done = list(lines[: start - 1])
    for raw in lines[start - 1 :]:
        plain = b"{" + raw.split(b",", 2)[2]
        done.append(chain.link(plain, len(done) + 1, chain.digest(done[-1])))
    return done


def test_a_trail_as_it_was_written_is_sound() -> None:
    found = verify(SOUND, head=HEAD, seal=Seal.GOOD)
    assert (found.sound, found.lines, found.heads, found.last_head_seq, found.notes) == (True, 8, 2, 6, ["2 line(s) since the last signed head"])


TAMPERED: dict[str, tuple[list[bytes], str, str]] = {
    "a changed word": (_edited(3, b'"status":1', b'"status":7'), "changed_line", "F:3"),
    "a changed last line": (_edited(8, b'"status":5', b'"status":7'), "changed_line", "F:8"),
    "a line taken away": ([*SOUND[:2], *SOUND[3:]], "missing_lines", "F:3"),
    "lines taken away": ([*SOUND[:2], *SOUND[4:]], "missing_lines", "F:3"),
    "two lines swapped": ([*SOUND[:2], SOUND[3], SOUND[2], *SOUND[4:]], "out_of_order", "F:4"),
    "a line twice": ([*SOUND[:3], *SOUND[2:]], "out_of_order", "F:4"),
    "a line put in": ([*SOUND[:3], chain.link(event(9), 4, chain.digest(SOUND[2])), *SOUND[3:]], "out_of_order", "F:5"),
    "words put in": ([*SOUND[:3], b"hello\n", *SOUND[3:]], "changed_line", "F:4"),
    "the tail cut off": (SOUND[:-1], "cut_at_end", "F:7"),
    "the tail cut in a line": ([*SOUND[:-1], SOUND[-1][:50]], "changed_line", "F:8"),
    "the beginning cut off": (SOUND[1:], "cut_at_beginning", "F:1"),
    "the beginning cut off before a head": (SOUND[5:], "cut_at_beginning", "F:1"),
    "nothing left": ([], "cut_at_end", "HEAD"),
    "lines after the end": ([*SOUND, chain.link(event(9), 9, chain.digest(SOUND[-1]))], "added_lines", "F:9"),
    "a changed head": (_edited(6, b'"seq":6,', b'"seq":6, '), "wrong_signature", "F:6"),
    "a head without its signature": (_edited(6, b',"sig":', b',"gis":'), "wrong_signature", "F:6"),
    "all linked anew": (_relinked(3, _edited(3, b'"status":1', b'"status":7')), "wrong_signature", "F:6"),
    "the unsigned tail linked anew": (_relinked(7, _edited(7, b'"status":4', b'"status":7')), "changed_line", "F:8"),
    "another key": (
        [*SOUND[:5], chain.head_line(
            seq=6, prev=chain.digest(SOUND[4]), at=0.0, trail=HEAD.trail, cause="interval", key=OTHER_KEY.fingerprint, sign=OTHER_KEY.sign
        )], "wrong_signature", "F:6",
    ),
    "another key under the name of ours": (
        [*SOUND[:5], chain.head_line(
            seq=6, prev=chain.digest(SOUND[4]), at=0.0, trail=HEAD.trail, cause="interval", key=KEY.fingerprint, sign=OTHER_KEY.sign
        )], "wrong_signature", "F:6",
    ),
    "a forged word that a line was torn": (
        [*SOUND[:4], b"was here\n", chain.head_line(
            seq=5, prev=chain.digest(b"was here\n"), at=0.0, trail=HEAD.trail, cause="torn", key=KEY.fingerprint, sign=OTHER_KEY.sign
        )], "wrong_signature", "F:6",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED)
def test_what_was_done_to_a_trail_is_told_with_its_place(case: str) -> None:
    lines, kind, place = TAMPERED[case]
    assert (kind, place) in [(fault.kind, fault.place) for fault in verify(lines, head=HEAD, seal=Seal.GOOD).faults]


def test_a_torn_line_that_was_taken_away_is_missed() -> None:
    torn = chain.head_line(seq=9, prev=chain.digest(b"torn\n"), at=0.0, trail=HEAD.trail, cause="torn", key=KEY.fingerprint, sign=KEY.sign)
    assert (verify([*SOUND, b"torn\n", torn]).sound, kinds(verify([*SOUND, torn]))) == (True, ["changed_line"])


def test_older_copies_of_trail_and_head_file_are_shown_by_the_store() -> None:
    older = replace(HEAD, seq=7, line=chain.digest(SOUND[6]))
    mark = Mark(trail=HEAD.trail, seq=8, line=chain.digest(SOUND[7]), where="the store")
    assert verify(SOUND[:7], head=older, seal=Seal.GOOD).sound
    assert kinds(verify(SOUND[:7], head=older, seal=Seal.GOOD, marks=(mark,))) == ["cut_at_end"]
    assert verify(SOUND, head=HEAD, seal=Seal.GOOD, marks=(mark,)).sound


def test_a_trail_that_is_not_the_one_that_the_store_knows_is_told() -> None:
    mark = Mark(trail=HEAD.trail, seq=5, line="ab" * 32, where="the store")
    assert [(fault.kind, fault.place) for fault in verify(SOUND, marks=(mark,)).faults] == [("changed_line", "F:5")]


def test_a_trail_of_which_nothing_is_left_is_missed_by_the_store() -> None:
    mark = Mark(trail="1" * 16 + "." + "2" * 16, seq=5, line="ab" * 32, where="the store")
    assert kinds(verify(SOUND, marks=(mark,))) == ["missing_trail"]


def test_a_head_of_the_store_that_was_rotated_away_is_no_fault() -> None:
    lines = [chain.head_line(seq=9, prev="a" * 64, at=0.0, trail=HEAD.trail, cause="file", key=KEY.fingerprint, sign=KEY.sign)]
    mark = Mark(trail=HEAD.trail, seq=5, line="ab" * 32, where="the store")
    found = verify(lines, marks=(mark,))
    assert (found.sound, "begins with line 9" in found.notes[0]) == (True, True)


HEADS: dict[str, tuple[Head | None, Seal, list[str]]] = {
    "good": (HEAD, Seal.GOOD, []),
    "missing": (None, Seal.MISSING, ["forged_head"]),
    "garbage": (None, Seal.BROKEN, ["forged_head"]),
    "another key": (HEAD, Seal.OTHER_KEY, ["forged_head"]),
    "unchecked": (HEAD, Seal.UNCHECKED, []),
    "of another chain": (replace(HEAD, trail="x"), Seal.GOOD, ["forged_head"]),
    "older": (replace(HEAD, seq=7), Seal.GOOD, ["added_lines"]),
    "of another last line": (replace(HEAD, line="0" * 64), Seal.GOOD, ["changed_line"]),
}


@pytest.mark.parametrize("case", HEADS)
def test_the_head_file_has_its_say(case: str) -> None:
    head, seal, faults = HEADS[case]
    assert kinds(verify(SOUND, head=head, seal=seal)) == faults


def test_two_chains_in_a_row_are_told() -> None:
    other, _ = _made()
    found = verify([*SOUND, *other])
    assert (kinds(found), len(found.trails)) == (["new_chain"], 2)


def test_a_trail_that_is_wrong_all_over_is_not_told_line_by_line() -> None:
    found = verify([b"x\n"] * 1000)
    assert (len(found.faults), found.more_faults, found.sound) == (200, 800, False)


def test_plain_lines_are_told_and_nothing_is_claimed_of_them() -> None:
    found = verify([event(1), event(2)])
    assert (found.sound, found.notes) == (True, ["2 line(s) that are not chained, and which nothing protects"])


@given(number=st.integers(0, len(SOUND) - 1), data=st.data())
@settings(max_examples=300)
def test_any_byte_that_was_changed_is_found(number: int, data: st.DataObject) -> None:
    line = bytearray(SOUND[number])
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[at]))
    content = b"".join([*SOUND[:number], bytes(line), *SOUND[number + 1 :]])
    *whole, rest = content.split(b"\n")
    lines = [piece + b"\n" for piece in whole] + ([rest] if rest else [])
    assert not verify(lines, head=HEAD, seal=Seal.GOOD).sound


@given(lines=st.lists(st.one_of(st.binary(max_size=200), st.sampled_from(SOUND), st.builds(lambda tree: tree.encode() + b"\n", st.text()))))
@settings(max_examples=200)
def test_whatever_the_lines_are_verifying_raises_nothing(lines: list[bytes]) -> None:
    verify(lines, head=HEAD, seal=Seal.GOOD, marks=(NEVER,))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
NAMES = st.sampled_from(["seq", "prev", "event", "cause", "trail", "key", "sig", "time"])
VALUES = JSON | st.sampled_from(["chain_head", "torn", "first", "file", "new_key", "head_lost", "0" * 64, KEY.fingerprint, 1, 2, 2**70])


@given(trees=st.lists(st.dictionaries(NAMES, VALUES), max_size=6))
@settings(max_examples=200)
def test_whatever_the_fields_are_verifying_raises_nothing(trees: list[dict[str, object]]) -> None:
    import json  # noqa: PLC0415 - this test alone writes it

    found = verify([json.dumps(tree).encode() + b"\n" for tree in trees], head=HEAD, seal=Seal.GOOD)
    assert all(isinstance(fault.text, str) for fault in found.faults)


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b'{"seq":' + b"9" * 10_000 + b"}\n", b"\xff\xfe\n", b'{"seq":true,"prev":"' + b"0" * 64 + b'"}\n', b"\n"]
)
def test_hostile_lines_are_told_like_any_other(line: bytes) -> None:
    assert not verify([*SOUND, line], head=HEAD, seal=Seal.GOOD).sound


def test_a_line_of_which_only_the_hash_is_known_is_told() -> None:
    verifier = Verifier({})
    verifier.take(Raw(place="F:1", data=None, digest="0" * 64))
    assert kinds(verifier.finish()) == ["changed_line"]


FILES: dict[str, Callable[[Path], object]] = {
    "cut at the end": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "emptied": lambda path: path.write_bytes(b""),
    "taken away": lambda path: path.unlink(),
    "replaced by garbage": lambda path: path.write_bytes(b"\x1f\x8bgarbage\n\0\xff" * 1000),
}


@pytest.mark.parametrize("case", FILES)
def test_what_was_done_to_a_file_is_found(trail: ChainedFile, path: Path, case: str) -> None:
    trail.append([event(1), event(2)])
    FILES[case](path)
    assert not verified(path).sound


def test_a_head_file_made_with_another_key_is_found(trail: ChainedFile, path: Path) -> None:
    trail.append([event(1), event(2)])
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    lines = path.read_bytes().splitlines(keepends=True)
    head = decode(head_path(path).read_bytes(), KEY)[0]
    assert head is not None
    head_path(path).write_bytes(encode(replace(head, seq=2, line=chain.digest(lines[-1])), OTHER_KEY))
    assert kinds(verified(path)) == ["forged_head"]
