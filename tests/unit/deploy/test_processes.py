"""Signals reach the process that is meant, or nobody."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from deploy.site.processes import Process, child_of, find, wait_until


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def known(pid: int) -> Process:
    process = find(pid)
    assert process is not None
    return process


def test_a_process_is_known_by_number_and_start(sleeper: subprocess.Popen[bytes]) -> None:
    assert known(sleeper.pid).alive()
    assert child_of(os.getpid()) is not None


def test_a_stranger_with_a_used_number_is_not_hit(sleeper: subprocess.Popen[bytes]) -> None:
    before = Process(sleeper.pid, known(sleeper.pid).start - 1)
    before.send(signal.SIGKILL)
    assert (before.alive(), sleeper.poll()) == (False, None)


def test_ending_one_that_listens_needs_no_kill(sleeper: subprocess.Popen[bytes]) -> None:
    assert known(sleeper.pid).end(signal.SIGTERM, 10)
    assert sleeper.wait() == -signal.SIGTERM


def test_ending_one_that_does_not_listen_kills_it() -> None:
    with subprocess.Popen(["sh", "-c", "trap '' TERM; echo ready; while :; do read x </dev/zero; done"], stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        assert not known(stubborn.pid).end(signal.SIGTERM, 0.2)
        assert stubborn.wait() == -signal.SIGKILL


def test_one_that_waits_to_be_buried_counts_as_gone(sleeper: subprocess.Popen[bytes]) -> None:
    process = known(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    assert wait_until(lambda: not process.alive(), 10)
    process.send(signal.SIGTERM)
