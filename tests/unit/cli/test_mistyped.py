"""What somebody may have meant by a command line that makes no sense."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Run


@pytest.mark.parametrize(
    ("words", "what", "meant"),
    [
        ("", "no command is named", "'slurm-gateway login URL' signs you in."),
        ("lgoin", "there is no command 'lgoin'", "Did you mean login?"),
        ("squeue", "there is no command 'squeue'", "Did you mean jobs?"),
        ("sbatch job.sh", "there is no command 'sbatch'", "Did you mean submit?"),
        ("scancel -u me", "there is no command 'scancel'", "Did you mean cancel?"),
        ("sinfo", "there is no command 'sinfo'", "Did you mean nodes or partitions?"),
        ("version", "there is no command 'version'", "Did you mean --version?"),
        ("tokens", "which of create, list, revoke?", ""),
        ("tokens lits", "ACTION: 'lits' is none of create, list, revoke", "Did you mean list?"),
        ("login --usr alice", "there is no option --usr", "Did you mean --user?"),
        ("queue jobs --inflight=3", "there is no option --inflight", "Did you mean --in-flight?"),
        ("tokens create --name ci --expire 7d", "there is no option --expire", "Did you mean --expires?"),
        ("jobs -s R", "there is no option -s", ""),
        ("nodes -s idle", "there is no option -s", ""),
        ("jobs -w", "there is no option -w", "Did you mean --watch?"),
        ("jobs -u alice", "there is no option -u", "Without it, 'jobs' lists yours; --user NAME is for those of others."),
        ("jobs --me", "there is no option --me", "Without it, 'jobs' lists yours; --user NAME is for those of others."),
        ("cancel --user", "there is no option --user", "--all means all of your jobs."),
        ("cancel 7 --cpus", "there is no option --cpus", ""),
        ("jobs 7", "unrecognized arguments: 7", ""),
        ("submit job.sh --wati", "there is no option --wati", "Did you mean --wait?"),
        (
            "submit -p debug job.sh",
            "there is no option -p",
            "Write '#SBATCH -p …' into the script, or change a field with --set NAME=VALUE.",
        ),
        (
            "submit --array=1-3 job.sh",
            "there is no option --array",
            "Write '#SBATCH --array=1-3' into the script, or change a field with --set NAME=VALUE.",
        ),
        ("submit job.sh a b", "unrecognized arguments: a b", "A job gets no arguments: write them into the script."),
    ],
)
def test_what_was_meant_is_told_beside_where_to_read_on(run: Run, words: str, what: str, meant: str) -> None:
    ran = run(*words.split())
    said, hint = ran.err.splitlines()
    assert (ran.code, said) == (2, f"slurm-gateway: {what}")
    assert hint.startswith(f"hint: {meant} 'slurm-gateway " if meant else "hint: 'slurm-gateway ")
    assert hint.endswith("--help' tells how it is used.")


def test_a_password_that_was_typed_as_an_option_is_not_shown_again(run: Run) -> None:
    assert "secret" not in run("login", "--password=secret").err
    assert "secret" not in run("login", "--password", "secret", "https://gateway.example").err


@pytest.mark.parametrize("words", [("help",), ("help", "submit")])
def test_help_is_a_word_as_well(run: Run, words: tuple[str, ...]) -> None:
    asked = run(*words)
    assert (asked.code, asked.out) == (0, run(*words[1:], "--help").out)
