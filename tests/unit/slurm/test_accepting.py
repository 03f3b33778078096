"""What slurmrestd is told of the forms that a client takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import NotAcceptable
from gateway.slurm.accepting import accept_for_slurm

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
SENT: list[tuple[str | None, str | None]] = [
    (None, None),
    ("", None),
    ("application/json", "application/json"),
    ("Application/JSON", "Application/JSON"),
    ("application/yaml", "application/yaml"),
    ("application/x-yaml;q=0.9, application/json;q=0.1", "application/x-yaml;q=0.9, application/json;q=0.1"),
    ("application/yaml, */*;q=0.1", "application/yaml, */*;q=0.1"),
    ("*/*", "application/json"),
    ("application/*", "application/json"),
    (CHROME, "application/json"),
    ("text/html", "application/json"),
    ("text/html, image/png", "application/json"),
    ("image/png, */*;q=0.1", "application/json"),
    ("application/problem+json", "application/json"),
    ("text/html, application/yaml;q=0.5", "application/yaml;q=0.5"),
    ("application/json, text/plain, */*", "application/json"),
    ("application/json, application/problem+json", "application/json"),
    ("no media type", None),
    (",,;q=1", None),
]


@pytest.mark.parametrize(("accept", "sent"), SENT)
def test_slurmrestd_is_asked_for_what_it_has(accept: str | None, sent: str | None) -> None:
    assert accept_for_slurm(accept) == sent


@pytest.mark.parametrize(
    "accept", ["text/csv", "application/x-ndjson", "image/png", "text/plain", "application/json;q=0", "*/*;q=0", "image/*, text/plain;q=0.3"]
)
def test_what_nobody_makes_is_refused(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        accept_for_slurm(accept)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=256))
def test_whatever_a_client_sends_slurmrestd_is_sent_nothing_else_than_parts_of_it(accept: str) -> None:
    try:
        sent = accept_for_slurm(accept)
    except NotAcceptable:
        return
    assert sent is None or sent in {accept, "application/json"} or set(sent) <= set(accept.lower()) | set("; q=,.0123456789e-")
