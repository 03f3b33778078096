"""What processes cost: CPU seconds and memory, as the kernel counts them (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return a process and all that came of it and is still there."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process, its threads and its children have spent (/proc/PID/stat, fields 14 and 15)."""
    total = 0.0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def resident(pids: Iterable[int]) -> float:
    """Return the MB of memory that processes have now, in all."""
    return _status(pids, "VmRSS:")


def high_water(pids: Iterable[int]) -> float:
    """Return the most MB of memory that processes have had, each at its own time, since they began or ``forget_high_water``."""
    return _status(pids, "VmHWM:")


def forget_high_water(pids: Iterable[int]) -> None:
    """Have the kernel count the most memory anew."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pids: Iterable[int], name: str) -> float:
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name)]
    return sum(int(line.split()[1]) for line in lines) / 1024
