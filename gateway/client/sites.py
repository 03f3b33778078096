"""Who is signed in where: sites by name, each with an address, a token, and a file of its header for plain curl.

Everything is in ``slurm-gateway`` under XDG_CONFIG_HOME (XDG Base Directory Specification 0.8), in files of mode 0600 of a folder of mode 0700:
``sites.json`` has what is no secret, ``NAME.header`` the line ``Authorization: Bearer …``, which is where the token is kept, unless the site is
one whose token is in the keyring.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from gateway.client import files
from gateway.client.errors import GatewayError, NotSignedInError
from gateway.secret import Secret

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER = "Authorization: Bearer "
_PATIENCE = 10.0


class Keyring(Protocol):
    """Where a token is kept that is in no file; each method raises GatewayError."""

    def put(self, account: str, token: Secret) -> None:
        """Keep a token."""

    def get(self, account: str) -> Secret | None:
        """Return a token, None where there is none."""

    def remove(self, account: str) -> None:
        """Forget a token; one that is not there is forgotten already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site: its address, the CA that it is trusted by (a path, or None for the system's), and who was signed in there last.

    ``keyring``: the token is in the keyring, and no file has it.
    """

    url: str
    ca: str | None = None
    username: str | None = None
    keyring: bool = False


class Sites:
    """The sites of whoever runs this; ``folder`` is made when something is first kept in it.

    ``keyring`` opens the keyring, and is called for the sites alone whose token is there. Whoever writes waits up to ``patience`` seconds for
    others who do.
    """

    def __init__(self, folder: Path, *, keyring: Callable[[], Keyring] | None = None, patience: float = _PATIENCE) -> None:
        self.folder = folder
        self._opening = keyring
        self._patience = patience

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Sites:
        """Return the sites in the folder that the environment names; a relative XDG_CONFIG_HOME counts as none, as the specification says."""

        def open_keyring() -> Keyring:
            from gateway.client import keyring  # noqa: PLC0415 - most keep their token in a file

            return keyring.opened(environment)

        said = environment.get("XDG_CONFIG_HOME", "")
        return cls((Path(said) if Path(said).is_absolute() else _home() / ".config") / "slurm-gateway", keyring=open_keyring)

    def names(self) -> list[str]:
        """Return the names of the sites."""
        return sorted(self._read()["sites"])

    def default(self) -> str | None:
        """Return the name of the site that is meant where none is named."""
        told = self._read().get("default")
        return told if isinstance(told, str) else None

    def site(self, name: str | None = None) -> tuple[str, Site]:
        """Return the name and the site ``name``, or the default one; raise NotSignedInError if there is none."""
        tree = self._read()
        default = tree.get("default")
        name = name or (default if isinstance(default, str) else None) or DEFAULT
        told = tree["sites"].get(check_name(name))
        if told is None:
            known = ", ".join(sorted(tree["sites"]))
            raise NotSignedInError(
                f"no site is called {name!r}; there are: {known}" if known else "not signed in anywhere",
                hint=f"Sign in first: slurm-gateway login {'URL' if name == DEFAULT else f'--site {name} URL'}",
            )
        return name, self._site(told)

    def by_url(self, url: str) -> tuple[str, Site] | None:
        """Return the name and the site that has an address, the default one if it does; None if there is none."""
        for name in sorted(self.names(), key=lambda name: name != self.default()):
            site = self.site(name)[1]
            if site.url == url:
                return name, site
        return None

    def signed_in(self, name: str | None = None) -> tuple[str, Site, Secret | None]:
        """Return a site and its token, None where nobody is signed in; the token is one of that address, whoever signs in meanwhile."""
        while True:
            found, site = self.site(name)
            token = self.token(found, site)
            if self.site(found)[1].url == site.url:
                return found, site, token

    def prepare(self) -> None:
        """Look whether something can be kept; raise GatewayError."""
        with self._changing():
            pass

    def keep(self, name: str, site: Site, token: Secret, *, choose: bool = True) -> tuple[Site, Secret] | None:
        """Keep a site and its token, and ``choose`` it for the default one; where that fails, what was kept before is there still.

        Return what this has taken the place of, which nobody has from now on, whoever else keeps something meanwhile.
        """
        with self._changing() as tree:
            _check_case(name, tree["sites"])
            told = tree["sites"].get(check_name(name))
            before = None if told is None else self._site(told)
            replaced = None if before is None else self._readable(name, before)
            tree["sites"][name] = asdict(site)
            if choose:
                tree["default"] = name
            header = {self.header_file(name): f"{_HEADER}{token.reveal().decode()}\n".encode()}
            if site.keyring:
                self.open_keyring().put(_account(name, site), token)
                files.replace(self._document(tree), without=self.header_file(name))
            elif before is not None and before.url == site.url:
                files.replace(header | self._document(tree))
            else:
                # Never, not for a moment either, may a token stand beside the address of another site.
                files.replace(self._document(tree) | header, without=self.header_file(name))
        if before is not None and before.keyring and (not site.keyring or before.url != site.url):
            with suppress(GatewayError):
                self.open_keyring().remove(_account(name, before))
        return None if before is None or replaced is None else (before, replaced)

    def _readable(self, name: str, site: Site) -> Secret | None:
        """Return the token for a site; one that cannot be read is replaced all the same."""
        try:
            return self.token(name, site)
        except GatewayError:
            return None

    def forget(self, name: str, only: Secret | None = None) -> None:
        """Forget the token, if it is ``only`` that one; the site's address stays, so that signing in again needs only its name."""
        with self._changing():
            site = self.site(name)[1]
            if only is not None and (kept := self.token(name, site)) is not None and kept.reveal() != only.reveal():
                return  # somebody has signed in meanwhile
            if site.keyring:
                self.open_keyring().remove(_account(name, site))
            try:
                self.header_file(name).unlink(missing_ok=True)
            except OSError as error:
                raise files.unwritable(self.header_file(name), error) from error

    def remove(self, name: str) -> None:
        """Forget a site, with its token."""
        self.forget(name)
        with self._changing() as tree:
            tree["sites"].pop(name, None)
            if tree.get("default") == name:
                del tree["default"]
            files.replace(self._document(tree))

    def choose(self, name: str) -> None:
        """Make a site the one that is meant where none is named."""
        name, _ = self.site(name)
        with self._changing() as tree:
            tree["default"] = name
            files.replace(self._document(tree))

    def token(self, name: str, site: Site | None = None) -> Secret | None:
        """Return the token for a site, None where nobody is signed in."""
        site = site or self.site(name)[1]
        if site.keyring:
            return self.open_keyring().get(_account(name, site))
        file = self.header_file(name)
        try:
            text = files.read(file)
        except FileNotFoundError:
            return None
        line = text.decode(errors="replace").removesuffix("\n")
        token = line.removeprefix(_HEADER)
        if token == line or not is_token(token):
            raise GatewayError(f"{file} holds no token", hint="Sign in again: slurm-gateway login", reason="bad_file")
        return Secret(token.encode())

    def header_file(self, name: str) -> Path:
        """Return the file for ``curl -H @FILE``."""
        return self.folder / f"{check_name(name)}.header"

    @property
    def _file(self) -> Path:
        return self.folder / "sites.json"

    def _site(self, told: object) -> Site:
        told = told if isinstance(told, dict) else {}
        ca, username = told.get("ca"), told.get("username")
        if not isinstance(told.get("url"), str) or not isinstance(ca, str | None) or not isinstance(username, str | None):
            raise self._broken("does not say where a site is")
        return Site(url=told["url"], ca=ca, username=username, keyring=told.get("keyring") is True)

    def open_keyring(self) -> Keyring:
        """Return the keyring; raise GatewayError where there is none that works."""
        if self._opening is None:
            raise GatewayError("the token is in a keyring, and there is none here", hint="Sign in again: slurm-gateway login", reason="no_keyring")
        return self._opening()

    def _read(self) -> dict[str, Any]:
        try:
            tree = json.loads(files.read(self._file))
        except FileNotFoundError:
            return {"sites": {}}
        except (ValueError, RecursionError) as error:
            raise self._broken("is no JSON") from error
        if not isinstance(tree, dict) or not isinstance(tree.get("sites"), dict) or not all(map(_NAME.fullmatch, tree["sites"])):
            raise self._broken("is none of ours")
        return tree

    def _broken(self, what: str) -> GatewayError:
        return GatewayError(f"{self._file} {what}", hint=f"rm {self._file}; then sign in again: slurm-gateway login URL", reason="bad_file")

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """Give what ``sites.json`` says, while nobody else changes it."""
        files.own(self.folder)
        with files.locked(self.folder / "sites.lock", patience=self._patience):
            files.sweep(self.folder)
            yield self._read()

    def _document(self, tree: dict[str, Any]) -> dict[Path, bytes]:
        return {self._file: json.dumps(tree, indent=1).encode() + b"\n"}


def check_name(name: str) -> str:
    """Return ``name`` if a site may be called that, for it becomes the name of a file; raise GatewayError."""
    if _NAME.fullmatch(name) is None:
        hint = "Use letters, digits, dots, dashes and underscores, beginning with a letter or digit."
        raise GatewayError(f"no site may be called {name!r}", hint=hint, reason="bad_name")
    return name


def _check_case(name: str, others: Mapping[str, object]) -> None:
    """Raise GatewayError if two sites would share a file where file names have no case."""
    for other in others:
        if other != name and other.lower() == name.lower():
            raise GatewayError(f"a site is called {other!r} already", hint=f"Say --site {other}, or take a name of its own.", reason="bad_name")


def is_token(text: str) -> bool:
    """Tell whether ``text`` can stand in a header as a token: visible ASCII alone."""
    return text != "" and text.isascii() and text.isprintable() and " " not in text


def _account(name: str, site: Site) -> str:
    """Return what a token is called in the keyring; with the address, so that no other site ever gets it."""
    return f"{name} at {site.url}"


def _home() -> Path:
    with suppress(RuntimeError):
        home = Path.home()
        if home.is_absolute() and os.environ.get("HOME") != "":
            return home
    raise GatewayError("there is no home folder", hint="Set HOME, or XDG_CONFIG_HOME to a folder that you may write to.", reason="bad_file")
