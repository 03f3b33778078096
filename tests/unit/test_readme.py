"""The README says what is so: its configuration reference is the model's own, and the example configuration is one."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.cli.main import build_parser
from gateway.config import parse
from gateway.config.reference import markdown

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_configuration_reference_is_the_models_own() -> None:
    """When this fails: .venv/bin/python -m tests.unit.test_readme."""
    assert with_reference(README) == README


def test_the_example_configuration_is_one() -> None:
    path = ROOT / "deploy" / "examples" / "gateway.toml"
    assert parse(path.read_text(), path.name).slurm.default_cluster == "main"


def test_every_command_of_the_gateway_that_the_readme_shows_exists() -> None:
    shown = set(re.findall(r"^\s*slurm-gateway ([a-z]+)", README, re.MULTILINE))
    assert shown
    assert shown <= set(re.findall(r"^ +([a-z]+) ", build_parser([]).format_help(), re.MULTILINE))


def with_reference(readme: str) -> str:
    return re.sub(r"(<!-- reference:begin -->\n).*?(<!-- reference:end -->)", lambda match: match[1] + markdown() + match[2], readme, flags=re.DOTALL)


if __name__ == "__main__":
    (ROOT / "README.md").write_text(with_reference(README))
