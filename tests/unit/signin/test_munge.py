from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CredentialsRefused, Unavailable
from gateway.signin.munge import Decoded, Munge, canonical, parse, payload
from gateway.store.engine import Database
from gateway.store.spent import SpentStore
from tests.munged import UID, Munged, munged

HOST = "gateway.example.org"
OUTPUT = (
    b"STATUS:          0\nENCODE_HOST:     127.0.0.1\nENCODE_TIME:     1795544061\nTTL:             300\n"
    b"UID:             2001\nGID:             7\n\n"
)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Munged]:
    with munged() as running:
        yield running


@pytest.fixture(scope="module")
def other() -> Iterator[Munged]:
    with munged() as running:
        yield running


@pytest.fixture
async def munge(daemon: Munged, database: Database) -> Munge:
    return Munge(SpentStore(database), socket=daemon.socket, age=300.0)


async def refused(munge: Munge, credential: str, host: str = HOST, now: float | None = None) -> str:
    with pytest.raises(CredentialsRefused) as caught:
        await munge.prove(credential, host, time.time() if now is None else now)
    return caught.value.cause


async def test_a_credential_proves_the_unix_user_who_made_it(munge: Munge, daemon: Munged) -> None:
    assert await munge.prove(daemon.credential(payload(HOST)), HOST, time.time()) == UID


async def test_a_credential_is_good_once(munge: Munge, daemon: Munged) -> None:
    credential = daemon.credential(payload(HOST))
    await munge.prove(credential, HOST, time.time())
    assert await refused(munge, credential) == "munge_replayed"


async def test_a_credential_is_good_once_where_its_munged_has_forgotten_it(daemon: Munged, database: Database, tmp_path: Path) -> None:
    """Another node's munged knows nothing of what this one has decoded; the store does."""
    forgetful = tmp_path / "unmunge"
    output = OUTPUT.replace(b"1795544061", str(int(time.time())).encode()) + payload(HOST)
    forgetful.write_text(f"import sys\nsys.stdin.read()\nsys.stdout.buffer.write({output!r})\n")
    nodes = [Munge(SpentStore(database), socket=None, age=300.0, command=(sys.executable, str(forgetful))) for _ in range(2)]
    credential = daemon.credential(payload(HOST))
    assert await nodes[0].prove(credential, HOST, time.time()) == 2001
    assert [await refused(node, credential) for node in nodes] == ["munge_used"] * 2


async def test_of_one_credential_sent_many_times_at_once_one_is_good(munge: Munge, daemon: Munged) -> None:
    credential = daemon.credential(payload(HOST))
    made = await asyncio.gather(*(munge.prove(credential, HOST, time.time()) for _ in range(30)), return_exceptions=True)
    assert sum(isinstance(one, int) for one in made) == 1
    assert {str(one) for one in made if isinstance(one, Exception)} <= {"munge_replayed", "munge_used"}


@pytest.mark.parametrize(
    "made_for", [b"", b"slurm-gateway enrol 1", payload("gateway.example.com"), payload(HOST) + b"\n", b"\n" + payload(HOST), payload(HOST.upper())]
)
async def test_a_credential_that_was_made_for_something_else_is_refused(munge: Munge, daemon: Munged, made_for: bytes) -> None:
    assert await refused(munge, daemon.credential(made_for)) == "munge_for_something_else"


async def test_a_credential_for_another_gateway_is_refused(munge: Munge, daemon: Munged) -> None:
    assert await refused(munge, daemon.credential(payload("evil.example")), HOST) == "munge_for_something_else"


@pytest.mark.parametrize("off", [-120.0, 301.0, 1e6])
async def test_a_credential_of_another_time_is_refused(munge: Munge, daemon: Munged, off: float) -> None:
    assert await refused(munge, daemon.credential(payload(HOST)), now=time.time() + off) == "munge_too_old_or_too_new"


async def test_a_credential_lives_no_longer_than_its_maker_wanted(munge: Munge, daemon: Munged) -> None:
    assert await refused(munge, daemon.credential(payload(HOST), "--ttl=10"), now=time.time() + 12) == "munge_too_old_or_too_new"


async def test_a_credential_of_another_key_is_refused(munge: Munge, other: Munged) -> None:
    assert await refused(munge, other.credential(payload(HOST))) == "munge_of_another_key"


async def test_a_credential_for_another_reader_is_refused(munge: Munge, daemon: Munged) -> None:
    assert await refused(munge, daemon.credential(payload(HOST), "--restrict-uid=4242")) == "munge_for_another_user"


async def test_root_enrols_nobody(daemon: Munged, database: Database, tmp_path: Path) -> None:
    fake = tmp_path / "unmunge"
    output = OUTPUT.replace(b"1795544061", str(int(time.time())).encode()).replace(b"2001", b"0") + payload(HOST)
    fake.write_text(f"import sys\nsys.stdin.read()\nsys.stdout.buffer.write({output!r})\n")
    munge = Munge(SpentStore(database), socket=None, age=300.0, command=(sys.executable, str(fake)))
    assert await refused(munge, daemon.credential(payload(HOST))) == "munge_root"


@pytest.mark.parametrize("change", [slice(20, 30), slice(60, 64), slice(-9, -5)])
async def test_a_credential_that_was_changed_is_refused(munge: Munge, daemon: Munged, change: slice) -> None:
    credential = daemon.credential(payload(HOST))
    start, stop, _ = change.indices(len(credential))
    changed = credential[:start] + "".join("B" if one == "A" else "A" for one in credential[start:stop]) + credential[stop:]
    assert (await refused(munge, changed)).startswith("munge_")


@pytest.mark.parametrize(
    "text",
    ["", "MUNGE:", "MUNGE::", "MUNGE:!!!!:", "munge:AwQFAAB4hNKwSkvO:", "MUNGE:" + "A" * 9000 + ":", "MUNGE:AwQFAAB4hNKwSkvO", "\u00e9", "\ud800"],
)
async def test_what_is_no_credential_is_not_even_decoded(database: Database, text: str) -> None:
    munge = Munge(SpentStore(database), socket=None, age=300.0, command=("/nowhere/unmunge",))
    assert await refused(munge, text) == "munge_malformed"


@pytest.mark.parametrize(
    "program", ["import time; time.sleep(30)", "import sys; sys.exit(6)", "import sys; sys.exit(1)", "print('x' * 100000)", "import os; os.abort()"]
)
async def test_a_decoder_that_does_not_work_is_unavailable_in_bounded_time(
    daemon: Munged, database: Database, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.signin.munge._LIMIT", 0.5)
    munge = Munge(SpentStore(database), socket=None, age=300.0, command=(sys.executable, "-c", program))
    with pytest.raises(Unavailable):
        await munge.prove(daemon.credential(payload(HOST)), HOST, time.time())


@pytest.mark.parametrize("command", [("/nowhere/unmunge",), ("unmunge-that-is-not-there",)])
async def test_a_decoder_that_is_not_there_is_unavailable(daemon: Munged, database: Database, command: tuple[str, ...]) -> None:
    with pytest.raises(Unavailable):
        await Munge(SpentStore(database), socket=None, age=300.0, command=command).prove(daemon.credential(payload(HOST)), HOST, time.time())


async def test_without_munged_nobody_is_proved(daemon: Munged, database: Database, tmp_path: Path) -> None:
    munge = Munge(SpentStore(database), socket=tmp_path / "nowhere", age=300.0)
    with pytest.raises(Unavailable):
        await munge.prove(daemon.credential(payload(HOST)), HOST, time.time())


# Reading what unmunge writes.


def test_what_unmunge_writes_is_read() -> None:
    assert parse(OUTPUT + b"hello") == Decoded(uid=2001, encode_time=1795544061, ttl=300, payload=b"hello")


def test_a_payload_that_looks_like_more_of_it_is_a_payload() -> None:
    assert parse(OUTPUT + b"UID:             0\n\n") == Decoded(uid=2001, encode_time=1795544061, ttl=300, payload=b"UID:             0\n\n")


@pytest.mark.parametrize("key", [b"STATUS", b"UID", b"ENCODE_TIME", b"TTL"])
def test_each_line_that_counts_must_be_there(key: bytes) -> None:
    assert parse(OUTPUT.replace(key + b":", b"X:")) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"STATUS:          0", b"STATUS:          17"),
        (b"STATUS:          0", b"STATUS:          Success (0)"),
        (b"2001", b"-1"),
        (b"2001", b"alice (2001)"),
        (b"2001", b"2001\nUID:             0"),
        (b"2001", "\u0662".encode()),
        (b"\n\n", b"\n"),
        (b"300", b""),
    ],
)
def test_what_is_not_as_it_should_be_is_not_believed(old: bytes, new: bytes) -> None:
    assert parse(OUTPUT.replace(old, new)) is None


@given(st.binary(max_size=400))
def test_garbage_says_nothing(output: bytes) -> None:
    assert parse(output) is None


@given(st.binary(max_size=200))
def test_whatever_the_payload_the_user_is_the_one_of_the_head(text: bytes) -> None:
    found = parse(OUTPUT + text)
    assert found is not None
    assert (found.uid, found.payload) == (2001, text)


@given(st.text(max_size=80))
def test_whatever_is_sent_is_a_credential_or_none(text: str) -> None:
    assert canonical(text) is None or text.startswith("MUNGE:")


def test_two_spellings_of_one_credential_are_the_same() -> None:
    assert canonical("MUNGE:AwQFAAB4hNKwSkvOQQ==:") == canonical("MUNGE:AwQFAAB4hNKwSkvOQR==:")
