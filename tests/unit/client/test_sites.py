from __future__ import annotations

import json
import os
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client import files
from gateway.client.errors import GatewayError, NotSignedInError
from gateway.client.sites import Site, Sites, check_name, is_token
from gateway.secret import Secret

TOKEN = Secret(b"sgw_" + b"a" * 49)
OTHER = Secret(b"sgw_" + b"b" * 49)
HERE = Site(url="https://here.example.org", ca="/ca.pem", username="alice")
THERE = Site(url="https://there.example.org", username="alice")


@dataclass
class FakeRing:
    kept: dict[str, bytes] = field(default_factory=dict)

    def put(self, account: str, token: Secret) -> None:
        self.kept[account] = token.reveal()

    def get(self, account: str) -> Secret | None:
        return Secret(self.kept[account]) if account in self.kept else None

    def remove(self, account: str) -> None:
        self.kept.pop(account, None)


@pytest.fixture
def ring() -> FakeRing:
    return FakeRing()


@pytest.fixture
def sites(tmp_path: Path, ring: FakeRing) -> Sites:
    return Sites(tmp_path / "slurm-gateway", keyring=lambda: ring)


def token_of(sites: Sites, name: str | None = None) -> bytes | None:
    token = sites.signed_in(name)[2]
    return None if token is None else token.reveal()


def test_what_is_kept_is_there_again_with_all_that_was_said_of_it(sites: Sites) -> None:
    sites.keep("here", HERE, TOKEN)
    assert (sites.site("here"), token_of(sites, "here")) == (("here", HERE), TOKEN.reveal())


def test_the_header_file_is_a_header_for_curl(sites: Sites) -> None:
    sites.keep("here", HERE, TOKEN)
    assert sites.header_file("here").read_bytes() == b"Authorization: Bearer " + TOKEN.reveal() + b"\n"


def test_all_is_its_owners_alone_whatever_the_umask(sites: Sites) -> None:
    before = os.umask(0)
    try:
        sites.keep("here", HERE, TOKEN)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in sites.folder.iterdir()}
    assert modes == {"here.header": 0o600, "sites.json": 0o600, "sites.lock": 0o600}
    assert stat.S_IMODE(sites.folder.stat().st_mode) == 0o700


def test_only_the_header_file_has_the_token(sites: Sites) -> None:
    sites.keep("here", HERE, TOKEN)
    assert [path.name for path in sites.folder.iterdir() if TOKEN.reveal() in path.read_bytes()] == ["here.header"]


def test_the_last_one_signed_in_to_is_meant_where_none_is_named(sites: Sites) -> None:
    sites.keep("here", HERE, TOKEN)
    sites.keep("there", THERE, OTHER)
    assert (sites.default(), sites.site()[0], sites.names()) == ("there", "there", ["here", "there"])
    sites.choose("here")
    assert token_of(sites) == TOKEN.reveal()


def test_a_renewal_chooses_nothing(sites: Sites) -> None:
    sites.keep("here", HERE, TOKEN)
    sites.keep("there", THERE, OTHER)
    sites.keep("here", HERE, OTHER, choose=False)
    assert sites.default() == "there"


def test_a_site_is_found_by_its_address(sites: Sites) -> None:
    sites.keep("here", HERE, TOKEN)
    assert (sites.by_url(HERE.url), sites.by_url(THERE.url)) == (("here", HERE), None)


def test_of_several_with_one_address_the_default_one_is_found(sites: Sites) -> None:
    for name in ("a", "b", "c"):
        sites.keep(name, HERE, TOKEN)
    sites.choose("b")
    assert sites.by_url(HERE.url) == ("b", HERE)


def test_what_is_forgotten_leaves_the_address(sites: Sites) -> None:
    sites.keep("here", HERE, TOKEN)
    sites.forget("here")
    assert (token_of(sites), sites.site()[1]) == (None, HERE)
    sites.forget("here")


def test_nobody_signed_in_is_told_how_to(sites: Sites) -> None:
    with pytest.raises(NotSignedInError, match="not signed in anywhere") as caught:
        sites.site()
    assert (caught.value.hint, caught.value.reason) == ("Sign in first: slurm-gateway login URL", "not_signed_in")


def test_a_name_that_nobody_knows_is_told_with_those_there_are(sites: Sites) -> None:
    sites.keep("here", HERE, TOKEN)
    with pytest.raises(NotSignedInError, match="no site is called 'hear'; there are: here") as caught:
        sites.site("hear")
    assert caught.value.hint == "Sign in first: slurm-gateway login --site hear URL"


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "a b", "a\n", "x" * 65, "é", ".hidden"])
def test_what_is_no_name_for_a_file_is_none_for_a_site(name: str) -> None:
    with pytest.raises(GatewayError, match="no site may be called") as caught:
        check_name(name)
    assert caught.value.hint == "Use letters, digits, dots, dashes and underscores, beginning with a letter or digit."


def test_two_sites_never_share_a_file_where_names_have_no_case(sites: Sites) -> None:
    sites.keep("here", HERE, TOKEN)
    with pytest.raises(GatewayError, match="a site is called 'here' already") as caught:
        sites.keep("Here", THERE, OTHER)
    assert caught.value.hint == "Say --site here, or take a name of its own."
    assert token_of(sites, "here") == TOKEN.reveal()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "is none of ours"),
        (b'{"sites": []}', "is none of ours"),
        (b'{"sites": {"../x": {}}}', "is none of ours"),
        (b'{"sites": {"default": {}}}', "does not say where a site is"),
        (b'{"sites": {"default": 7}}', "does not say where a site is"),
        (b'{"sites": {"default": {"url": "https://x", "ca": 7}}}', "does not say where a site is"),
    ],
)
def test_a_file_that_is_broken_is_told_with_the_way_out(sites: Sites, content: bytes, what: str) -> None:
    sites.keep("default", HERE, TOKEN)
    file = sites.folder / "sites.json"
    file.write_bytes(content)
    with pytest.raises(GatewayError) as caught:
        sites.site()
    assert (str(caught.value), caught.value.hint) == (f"{file} {what}", f"rm {file}; then sign in again: slurm-gateway login URL")


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_whatever_stands_in_the_file_is_read_or_told(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    sites = Sites(tmp_path_factory.mktemp("sites"))
    files.create(sites.folder / "sites.json", content if isinstance(content, bytes) else json.dumps({"sites": content}).encode())
    with suppress(GatewayError):
        sites.signed_in()
    with suppress(GatewayError):
        sites.names()


@pytest.mark.parametrize(
    "content", [b"", b"x\n", b"Authorization: Bearer \n", b"Authorization: Bearer a b\n", b"Authorization: Bearer a\nX-Other: b\n"]
)
def test_a_header_file_without_a_token_is_told(sites: Sites, content: bytes) -> None:
    sites.keep("here", HERE, TOKEN)
    sites.header_file("here").write_bytes(content)
    with pytest.raises(GatewayError, match="holds no token") as caught:
        sites.token("here")
    assert caught.value.hint == "Sign in again: slurm-gateway login"


@pytest.mark.parametrize(("text", "is_one"), [("sgw_abc", True), ("", False), ("a b", False), ("a\r", False), ("é", False)])
def test_a_token_is_visible_ascii(text: str, is_one: bool) -> None:
    assert is_token(text) == is_one


def test_a_disk_that_is_full_leaves_the_old_session(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    sites.keep("here", HERE, TOKEN)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for site in (HERE, THERE):
        with pytest.raises(GatewayError, match="cannot be written: No space left on device"):
            sites.keep("here", site, OTHER)
    assert (sites.site("here")[1], token_of(sites, "here")) == (HERE, TOKEN.reveal())


@pytest.mark.parametrize("steps", range(1, 4))
def test_no_token_ever_stands_beside_the_address_of_another_site(sites: Sites, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """The power goes after each of the steps on the disk in turn."""
    sites.keep("here", HERE, TOKEN)
    left = steps
    rename, remove = Path.replace, Path.unlink

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise SystemExit

    def replace(path: Path, target: Path) -> Path:
        step()
        return rename(path, target)

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        if path == sites.header_file("here"):
            step()
        remove(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(SystemExit):
        sites.keep("here", THERE, OTHER)
    monkeypatch.undo()
    found = (sites.site("here")[1].url, token_of(sites, "here"))
    assert found in {(HERE.url, TOKEN.reveal()), (HERE.url, None), (THERE.url, None), (THERE.url, OTHER.reveal())}


def test_a_reader_never_takes_a_token_for_the_address_that_it_read_before(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    sites.keep("here", HERE, TOKEN)
    really = Sites.token

    def slow(self: Sites, name: str, site: Site | None = None) -> Secret | None:
        monkeypatch.setattr(Sites, "token", really)
        self.keep("here", THERE, OTHER)  # somebody signs in elsewhere between the two files
        return really(self, name, site)

    monkeypatch.setattr(Sites, "token", slow)
    _, site, token = sites.signed_in("here")
    assert token is not None
    assert (site.url, token.reveal()) == (THERE.url, OTHER.reveal())


def test_sign_ins_at_once_do_not_lose_each_other(sites: Sites) -> None:
    threads = [threading.Thread(target=sites.keep, args=(f"site{number}", HERE, TOKEN)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sites.names()) == 12


def test_the_keyring_has_the_token_and_no_file_has(sites: Sites, ring: FakeRing) -> None:
    sites.keep("here", HERE, TOKEN)
    site = Site(url=HERE.url, keyring=True)
    sites.keep("here", site, OTHER)
    assert (token_of(sites, "here"), sites.header_file("here").exists()) == (OTHER.reveal(), False)
    assert ring.kept == {"here at https://here.example.org": OTHER.reveal()}
    sites.forget("here")
    assert (token_of(sites, "here"), ring.kept) == (None, {})


def test_a_file_takes_the_place_of_the_keyring(sites: Sites, ring: FakeRing) -> None:
    sites.keep("here", Site(url=HERE.url, keyring=True), OTHER)
    sites.keep("here", HERE, TOKEN)
    assert (token_of(sites, "here"), ring.kept) == (TOKEN.reveal(), {})


def test_a_site_in_a_keyring_that_is_not_there_is_told(tmp_path: Path, sites: Sites) -> None:
    sites.keep("here", Site(url=HERE.url, keyring=True), OTHER)
    with pytest.raises(GatewayError, match="the token is in a keyring") as caught:
        Sites(tmp_path / "slurm-gateway").signed_in("here")
    assert caught.value.hint == "Sign in again: slurm-gateway login"


@pytest.mark.parametrize("said", ["", "relative/folder"])
def test_a_config_home_that_is_none_is_the_usual_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Sites.of({"XDG_CONFIG_HOME": said}).folder == tmp_path / ".config" / "slurm-gateway"


def test_no_home_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(GatewayError, match="there is no home folder") as caught:
        Sites.of({})
    assert caught.value.hint == "Set HOME, or XDG_CONFIG_HOME to a folder that you may write to."


def test_a_site_is_removed_with_its_token(sites: Sites) -> None:
    sites.keep("here", HERE, TOKEN)
    sites.remove("here")
    assert (sites.names(), sites.default(), sites.header_file("here").exists()) == ([], None, False)


# Two at once.


def test_whoever_keeps_a_token_is_told_which_one_it_has_taken_the_place_of(sites: Sites) -> None:
    assert sites.keep("work", HERE, TOKEN) is None
    replaced = sites.keep("work", THERE, OTHER)
    assert replaced is not None
    assert (replaced[0], replaced[1].reveal()) == (HERE, TOKEN.reveal())


def test_of_two_who_sign_out_and_in_at_once_the_new_token_stays(sites: Sites) -> None:
    sites.keep("work", HERE, OTHER)
    sites.forget("work", TOKEN)
    assert token_of(sites, "work") == OTHER.reveal()
    sites.forget("work", OTHER)
    assert token_of(sites, "work") is None


def test_writing_sweeps_up_what_was_left_behind(sites: Sites) -> None:
    sites.prepare()
    left = sites.folder / f".work.header.{'a' * 16}"
    files.create(left, b"token")
    os.utime(left, (0, 0))
    sites.keep("work", HERE, TOKEN)
    assert not left.exists()


@pytest.mark.parametrize("home", ["", "somewhere"])
def test_a_home_folder_that_is_nowhere_is_none(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    with pytest.raises(GatewayError, match="there is no home folder"):
        Sites.of({})
