"""``slurm-gateway whoami``: who you are signed in as, where, and until when."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from gateway.cli import person
from gateway.client.asking import Answer
from gateway.client.errors import SIGN_IN_AGAIN, GatewayError, NotSignedInError
from gateway.client.gateway import Gateway

_KINDS = {"session": "a session", "token": "a personal token"}


def register(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    """Add the command."""
    parser = commands.add_parser("whoami", help="say who you are signed in as, and until when", description=__doc__)
    person.add_options(parser, cluster=False)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Say who we are; whoever is not signed in is told so, and asked nothing."""
    who = person.person_of(arguments)
    if who.token is None:
        raise NotSignedInError(f"not signed in at {who.site.url}", hint=f"Sign in first: {who.login}")
    with Gateway(who.site.url, token=who.token, ca=who.site.ca) as gateway:
        try:
            answer = gateway.call("GET", "/auth/session")
        except GatewayError as error:
            if error.reason in SIGN_IN_AGAIN:
                error.hint = who.way_back
            raise
    tree = {**person.document(answer), "site": who.name, "url": who.site.url}
    if arguments.json:
        import json  # noqa: PLC0415 - for programs alone

        sys.stdout.write(json.dumps(tree) + "\n")
    else:
        sys.stdout.write("".join(f"{title:<15}{text}\n" for title, text in _lines(tree, answer)))
    return 0


def _lines(tree: dict[str, Any], answer: Answer) -> list[tuple[str, str]]:
    """Return what a person wants to know, in titles and texts; the server's clock is the one that counts."""
    from gateway.cli import times  # noqa: PLC0415 - after the request
    from gateway.client.errors import printable  # noqa: PLC0415 - likewise

    now = times.server_now(answer.headers.get("date"))

    def left(name: str) -> str | None:
        at = times.moment(tree.get(name))
        return None if at is None else f"in {times.in_words(at - now)} ({times.on_the_clock(at)})"

    scopes = tree.get("scopes")
    proved = times.moment(tree.get("second_factor_at"))
    told = [
        ("User", str(tree.get("username", ""))),
        ("Site", tree["url"] if tree["site"] is None else f"{tree['site']} ({tree['url']})"),
        ("Signed in by", _KINDS.get(str(tree.get("kind")), str(tree.get("kind")))),
        ("Ends", left("expires_at")),
        ("If unused", left("idle_expires_at") if tree.get("idle_expires_at") != tree.get("expires_at") else None),
        ("Second factor", None if proved is None else f"proved {times.in_words(now - proved)} ago"),
        ("Scopes", ", ".join(map(str, scopes)) or None if isinstance(scopes, list) else None),
    ]
    return [(title, printable(text)) for title, text in told if text is not None]
