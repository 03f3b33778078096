from __future__ import annotations

import pytest

from gateway.cli.completion import SHELLS
from tests.unit.cli.conftest import Run


@pytest.mark.parametrize("shell", SHELLS)
def test_the_code_for_a_shell_is_printed(run: Run, shell: str) -> None:
    ran = run("completion", shell)
    assert (ran.code, ran.err, "slurm-gateway" in ran.out, "_ARGCOMPLETE" in ran.out) == (0, "", True, True)


@pytest.mark.parametrize("shell", SHELLS)
def test_help_tells_how_to_install_it_in_each_shell(run: Run, shell: str) -> None:
    assert f"slurm-gateway completion {shell}" in run("completion", "--help").out


def test_a_shell_that_is_not_known_is_usage(run: Run) -> None:
    ran = run("completion", "csh")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "slurm-gateway: SHELL: 'csh' is none of bash, zsh, fish\nhint: Did you mean zsh? 'slurm-gateway completion --help' tells how it is used.\n"
    )
