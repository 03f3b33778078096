"""What the commands for people share: which site, with which token, and what happens when a session has ended.

A token comes from ``--token-file``, else from SLURM_GATEWAY_TOKEN, else from what ``login`` has kept. The first two are for CI, and go to the
site that ``--site`` names, else to SLURM_GATEWAY_URL (whose CA SLURM_GATEWAY_CA names), else to the default site.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from gateway.cli import terminal
from gateway.client import calls
from gateway.client.address import Address
from gateway.client.asking import Answer, Ask, Pause
from gateway.client.calls import SignedIn
from gateway.client.errors import SIGN_IN_AGAIN, STALE, GatewayError, NotSignedInError, NotUnderstoodError, RefusedError
from gateway.client.gateway import Gateway
from gateway.client.sites import Site, Sites, is_token
from gateway.errors import CommandError
from gateway.secret import Secret

T = TypeVar("T")
TRIES = 3
"""How often somebody is asked for what they mistyped."""
_MOST = 4096
_SESSION = "session"
LIKELY = 3600.0
"""Seconds that a command may well take that waits for jobs: nobody knows how long they wait themselves."""
_REFUSED = "credentials_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom a command acts for: ``name`` is that of the kept site, None where the token came from elsewhere."""

    sites: Sites
    name: str | None
    site: Site
    token: Secret | None

    @property
    def login(self) -> str:
        """The command line that signs in."""
        if self.name is None:
            return f"slurm-gateway login {self.site.url}"
        return "slurm-gateway login" if self.name == self.sites.default() else f"slurm-gateway login --site {self.name}"

    @property
    def way_back(self) -> str:
        """What to do when the token is dead."""
        if self.name is not None:
            return f"Sign in again: {self.login}"
        return "Give another one: --token-file or SLURM_GATEWAY_TOKEN; 'slurm-gateway tokens create' makes one."


class PersonsGateway(Gateway):
    """The gateway as a command has it, which knows whom it acts for; a session that has ended is begun anew where somebody can be asked."""

    def __init__(self, person: Person, *, cluster: str | None = None, patience: float = 30.0) -> None:
        super().__init__(person.site.url, token=person.token, ca=person.site.ca, cluster=cluster, patience=patience, prove=self._prove, on_pause=tell)
        self.person = person
        self.before_asking: Callable[[], None] = _nothing
        """Called before somebody is asked in the middle of a command: what is drawn on the terminal has to make room."""

    def sign_in_anew(self) -> None:
        """Ask for password and code, and go on with the session that this gives; the one before it is ended."""
        before, self._connection.token = self.token, self._signed_in_again()
        end(self.person.site, before)

    @contextmanager
    def stream(
        self, method: str, path: str, *, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None, timeout: float = 60.0
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Send any request once; give its answer's head, whatever its status, and the pieces of its body as they come. Raise GatewayError."""
        with self._connection.stream(Ask(method=method, path=path, headers=tuple(headers), body=body, timeout=timeout)) as answer:
            yield answer

    def prove(self, error: GatewayError) -> None:
        """Have whoever is there answer a refusal for an ended session, or for a second factor that is old; raise ``error`` where nobody can."""
        self._connection.carry(calls.proof(error))

    def _prove(self, error: GatewayError) -> Secret:
        """Answer a refusal for an ended session or an old second factor, if somebody is there to do it."""
        if self.person.name is None:
            return self._prove_given(error)
        if error.reason != STALE and (fresher := self._fresher()) is not None:
            return fresher
        if not terminal.is_there():
            error.hint = self.person.way_back
            raise error
        self.before_asking()
        terminal.tell(f"{self.person.site.url}: {error}")
        if error.reason == STALE and self.token is not None:
            ask_again(lambda: self.stepup(code()))
            return self.token
        return self._signed_in_again()

    def _prove_given(self, error: GatewayError) -> Secret:
        """Answer a refusal of a token that was given, not kept: a session's may show a new code, a personal token cannot do anything."""
        if error.reason != STALE or self.token is None:
            error.hint = self.person.way_back
            raise error
        if not terminal.is_there() or not self._is_session(self.token):
            error.hint = "A token cannot show a new code: sign in (slurm-gateway login), and run this without --token-file and SLURM_GATEWAY_TOKEN."
            raise error
        self.before_asking()
        terminal.tell(f"{self.url}: {error}")
        ask_again(lambda: self.stepup(code()))
        return self.token

    def _is_session(self, token: Secret) -> bool:
        """Tell whether a token is a session's; another connection asks, for this one is in the middle of something."""
        with Gateway(self.url, token=token, ca=self.person.site.ca) as same:
            return same.session().kind == _SESSION

    def _signed_in_again(self) -> Secret:
        """Ask for what signing in needs, of the same person, and keep the new token."""
        person = self.person
        username = self.known_username or person.site.username or terminal.line("User: ")
        signed_in = sign_in(self, username)
        expected = person.site.username or username
        if person.site.username is not None and signed_in.username != expected:
            end(person.site, signed_in.token)
            raise _somebody_else(signed_in.username, expected, person)
        if person.name is not None:
            # As it is kept, for --ca is this command's alone.
            name, site = person.sites.site(person.name)
            if site.url == person.site.url:
                person.sites.keep(name, replace(site, username=signed_in.username), signed_in.token, choose=False)
        return signed_in.token

    def _fresher(self) -> Secret | None:
        """Return the token that the same person has signed in for meanwhile, elsewhere; raise GatewayError if it was somebody else."""
        try:
            _, site, kept = self.person.sites.signed_in(self.person.name)
        except GatewayError:
            return None
        if kept is None or site.url != self.person.site.url or (self.token is not None and kept.reveal() == self.token.reveal()):
            return None
        try:
            with Gateway(self.url, token=kept, ca=self.person.site.ca, patience=0) as other:
                username = other.username
        except GatewayError:
            return None
        expected = self.known_username or self.person.site.username
        if expected is not None and username != expected:
            raise _somebody_else(username, expected, self.person)
        return kept


def add_options(parser: argparse.ArgumentParser, *, json: bool = True, cluster: bool = True) -> None:
    """Add what every command for people takes; ``cluster`` is for what is asked of Slurm."""
    parser.add_argument("--site", metavar="NAME", default=os.environ.get("SLURM_GATEWAY_SITE"), help="the site, as 'login --site' called it")
    if cluster:
        parser.add_argument("--cluster", metavar="NAME", help="another cluster than the gateway's default one")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="a file that holds a token and that nobody else may read, for CI; - is standard input"
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="the CA that the gateway's certificate chains to (PEM)")
    if json:
        parser.add_argument("--json", action="store_true", help="print JSON for programs")


def person_of(arguments: argparse.Namespace) -> Person:
    """Return whom the command line, the environment and the kept sites name."""
    sites = Sites.of(os.environ)
    given = _given(arguments)
    url = None if arguments.site or not os.environ.get("SLURM_GATEWAY_URL") else full_url(os.environ["SLURM_GATEWAY_URL"])
    if url is not None:
        kept = None if given is not None else sites.by_url(url)
        if given is None and kept is None:
            raise NotSignedInError(f"not signed in at {url}", hint=f"Sign in first: slurm-gateway login {url}")
        if kept is None:
            return Person(sites=sites, name=None, site=Site(url=url, ca=_ca(arguments, None)), token=given)
        arguments.site = kept[0]
    if given is not None and not arguments.site and sites.default() is None:
        raise NotSignedInError("nothing says where the token belongs to", hint="Set SLURM_GATEWAY_URL to the gateway's address.")
    if given is not None:
        _, site = sites.site(arguments.site)
        return Person(sites=sites, name=None, site=Site(url=site.url, ca=_ca(arguments, site.ca)), token=given)
    name, site, token = sites.signed_in(arguments.site)
    return Person(sites=sites, name=name, site=replace(site, ca=_ca(arguments, site.ca)), token=token)


@contextmanager
def gateway_of(arguments: argparse.Namespace, *, patience: float = 30.0) -> Iterator[PersonsGateway]:
    """Give the gateway that a command speaks to; on a terminal, a session that has ended is begun anew."""
    person = person_of(arguments)
    if person.token is None and not terminal.is_there():
        raise NotSignedInError(f"not signed in at {person.site.url}", hint=f"Sign in first: {person.login}")
    with PersonsGateway(person, cluster=getattr(arguments, "cluster", None), patience=patience) as gateway:
        if person.token is None:
            terminal.tell(f"{person.site.url}: not signed in")
            gateway.sign_in_anew()
        yield gateway


def renew_if_short(gateway: PersonsGateway, needed: float = LIKELY) -> None:
    """Ask whether to sign in anew if the session ends before ``needed`` seconds are over; where nobody can be asked, say so and go on.

    For commands that take long, once, before they begin: ``with gateway_of(arguments) as gateway: renew_if_short(gateway, 7200)``.
    It is the session's hard end that counts. That it does not idle out is its user's affair: a stream of events does not keep it alive. A gateway
    that cannot tell is no reason to fail: whoever comes next deals with it.
    """
    from gateway.cli import times  # noqa: PLC0415 - few commands tell times

    try:
        answer = gateway.call("GET", "/auth/session")
        tree = document(answer)
    except GatewayError as error:
        if error.reason in SIGN_IN_AGAIN:
            raise
        return
    until = times.moment(tree.get("expires_at"))
    left = float("inf") if until is None else until - times.server_now(answer.headers.get("date"))
    if left >= needed:
        return
    what = "session" if tree.get("kind") == _SESSION else "token"
    said = f"The {what} ends in {times.in_words(left)}, before this is likely to be over ({times.in_words(needed)})."
    if gateway.person.name is None or what != _SESSION or not terminal.is_there():
        terminal.say(f"{said} It will fail then, unless you sign in again meanwhile: {gateway.person.login}")
        return
    terminal.tell(said)
    if terminal.agrees("Sign in anew now?"):
        gateway.sign_in_anew()


def ask_again(attempt: Callable[[], T]) -> T:
    """Return what ``attempt`` returns; somebody who mistypes is told so and may try again, three times in all."""
    for left in range(TRIES - 1, 0, -1):
        try:
            return attempt()
        except RefusedError as error:
            if error.reason != _REFUSED:
                raise
            terminal.tell(f"{error}\n{error.hint}\n{left} {'try is' if left == 1 else 'tries are'} left.")
    return attempt()


def sign_in(gateway: Gateway, username: str) -> SignedIn:
    """Ask for password and code, on the terminal, and sign in."""
    return ask_again(lambda: gateway.login(username, terminal.hidden(f"Password of {username}: "), code()))


def document(answer: Answer) -> dict[str, Any]:
    """Return the JSON object in an answer; raise NotUnderstoodError."""
    tree = answer.json()
    if not isinstance(tree, dict):
        raise NotUnderstoodError("the answer is not what a gateway answers", hint="Is this the gateway's address?", status=answer.status)
    return tree


def end(site: Site, token: Secret | None) -> GatewayError | None:
    """End a session that nobody needs any more, if it is not dead already; return why that could not be done."""
    if token is None:
        return None
    try:
        with Gateway(site.url, token=token, ca=site.ca, patience=2) as gateway:
            gateway.logout()
    except GatewayError as error:
        return None if error.reason == "token_refused" else error
    return None


def full_url(said: str) -> str:
    """Return the address that was meant: https is what nobody has to type. Raise GatewayError for what is none."""
    return Address.of(said if "://" in said else f"https://{said}").url


def absolute(path: Path | None) -> str | None:
    """Return a path as it is remembered: good from everywhere."""
    return None if path is None else str(path.absolute())


def _somebody_else(username: str, expected: str, person: Person) -> GatewayError:
    return GatewayError(
        f"that was {username}, and this was begun by {expected}",
        hint=f"Sign in as {expected}, or begin anew as {username}: slurm-gateway login --user {username} --site {person.name}",
        reason="somebody_else",
    )


def code() -> str:
    """Ask for a one-time code, or a recovery code; authenticators show them in groups."""
    return terminal.line("Code: ").replace(" ", "")


def _given(arguments: argparse.Namespace) -> Secret | None:
    if arguments.token_file is not None:
        return _token_in(arguments.token_file)
    said = os.environ.get("SLURM_GATEWAY_TOKEN", "").strip()
    if said and not is_token(said):
        raise CommandError("SLURM_GATEWAY_TOKEN is no token", "Set it to what 'slurm-gateway tokens create' printed, and nothing else.")
    return Secret(said.encode()) if said else None


def _token_in(file: Path) -> Secret:
    """Return the token in a file that nobody else may read; what is no file, such as a pipe, is nobody else's anyway."""
    hint = "Give a file with a token and nothing else, mode 0600: 'slurm-gateway tokens create --output FILE' makes one."
    place = "standard input" if str(file) == "-" else str(file)
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as stream:
            found = os.fstat(stream.fileno())
            content = stream.read(_MOST).strip().decode(errors="replace")
    except OSError as error:
        raise CommandError(f"{place} cannot be read: {error.strerror}", hint) from error
    if stat.S_ISREG(found.st_mode) and str(file) != "-":
        if found.st_mode & 0o077:
            raise CommandError(f"{place} may be read by others", f"chmod 600 {place}")
        if found.st_uid not in {os.geteuid(), 0}:
            raise CommandError(f"{place} belongs to somebody else", "Make a copy that is yours, mode 0600.")
    if not is_token(content):
        raise CommandError(f"{place} holds no token", hint)
    return Secret(content.encode())


def _ca(arguments: argparse.Namespace, kept: str | None) -> str | None:
    return absolute(arguments.ca) or kept or os.environ.get("SLURM_GATEWAY_CA") or None


def tell(pause: Pause) -> None:
    """Tell somebody at a terminal why they wait."""
    if pause.because is not None and sys.stderr.isatty():
        soon = f" in {pause.seconds:.0f} s" if pause.seconds >= 1 else ""
        terminal.say(f"{str(pause.because).removesuffix('.')}; trying again{soon}")


def _nothing() -> None:
    """Do nothing."""
