"""The example page is one file that a strict policy lets be what it is, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[3] / "deploy" / "examples" / "jobs.html").read_text()
POLICY = dict(part.strip().split(" ", 1) for part in re.findall(r'Content-Security-Policy" content="([^"]*)"', PAGE)[0].split(";"))


@pytest.mark.parametrize(("element", "directive"), [("script", "script-src"), ("style", "style-src")])
def test_the_policy_names_the_one_script_and_the_one_style(element: str, directive: str) -> None:
    """When this fails, the page was changed: put the new hash into its policy."""
    [content] = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", PAGE, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    assert POLICY[directive] == f"'sha256-{digest}'"


def test_what_is_not_named_is_forbidden() -> None:
    assert {name: value for name, value in POLICY.items() if name not in {"script-src", "style-src"}} == {
        "default-src": "'none'",
        "img-src": "data:",
        "connect-src": "https:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_nothing_of_it_is_loaded_from_elsewhere() -> None:
    assert re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]*)""", PAGE) == ["data:,"]
    assert "@import" not in PAGE
    assert "url(" not in PAGE


@pytest.mark.parametrize("sink", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", "onclick=", "sessionStorage"])
def test_text_becomes_nothing_else(sink: str) -> None:
    assert sink not in PAGE


def test_only_the_gateways_address_is_stored() -> None:
    assert re.findall(r"localStorage\.\w+\([^)]*\)", PAGE) == ["localStorage.setItem(REMEMBERED, who.gateway)", "localStorage.getItem(REMEMBERED)"]
    assert "document.cookie" not in PAGE
