"""Slurm's words for the states of jobs and nodes, and the short ones that people know from squeue and sinfo (all pure).

The words are those of ``job_state_string``, ``job_state_string_compact`` and ``node_state_flag_string`` in Slurm's
``src/common/slurm_protocol_defs.c``, and of the arrays ``JOB_STATE`` and ``NODE_STATES`` in ``src/plugins/data_parser``, from release 22.05
to 26.11. A job or node has one base state and any number of flags: up to v0.0.38 a job shows one word (a flag hides the base), from v0.0.40 on
a list of all; a node shows its base in lower case, and its flags beside it from v0.0.37 on, in one list from v0.0.39 on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

# squeue's short word, or None where it has none, for each word of a job's state.
_SHORT_JOB_STATES: Mapping[str, str | None] = MappingProxyType(
    {
        "PENDING": "PD",
        "RUNNING": "R",
        "SUSPENDED": "S",
        "COMPLETED": "CD",
        "CANCELLED": "CA",
        "FAILED": "F",
        "TIMEOUT": "TO",
        "NODE_FAIL": "NF",
        "PREEMPTED": "PR",
        "BOOT_FAIL": "BF",
        "DEADLINE": "DL",
        "OUT_OF_MEMORY": "OOM",
        "COMPLETING": "CG",
        "CONFIGURING": "CF",
        "RESIZING": "RS",
        "REQUEUED": "RQ",
        "REQUEUE_FED": "RF",
        "REQUEUE_HOLD": "RH",
        "RESV_DEL_HOLD": "RD",
        "REVOKED": "RV",
        "SIGNALING": "SI",
        "SPECIAL_EXIT": "SE",
        "STAGE_OUT": "SO",
        "STOPPED": "ST",
        "EXPEDITING": None,
        "LAUNCH_FAILED": None,
        "POWER_UP_NODE": None,
        "RECONFIG_FAIL": None,
    }
)

_NODE_STATES = frozenset(
    {
        # The base states, then the flags.
        "ALLOCATED",
        "DOWN",
        "ERROR",
        "FUTURE",
        "IDLE",
        "INVALID",
        "MIXED",
        "UNKNOWN",
        "BLOCKED",
        "CLOUD",
        "COMPLETING",
        "DRAIN",
        "DYNAMIC_FUTURE",
        "DYNAMIC_NORM",
        "EXTERNAL",
        "FAIL",
        "INVALID_REG",
        "MAINTENANCE",
        "NOT_RESPONDING",
        "PERFCTRS",
        "PLANNED",
        "POWERED_DOWN",
        "POWERING_DOWN",
        "POWERING_UP",
        "POWER_DOWN",
        "POWER_DOWN_ASAP",
        "POWER_DOWN_FORCE",
        "POWER_DRAIN",
        "POWER_UP",
        "REBOOT_CANCELED",
        "REBOOT_ISSUED",
        "REBOOT_REQUESTED",
        "RESERVED",
        "RESUME",
        "UNDRAIN",
    }
)
_SHORT_NODE_STATES: Mapping[str, str] = MappingProxyType(
    {
        "ALLOC": "ALLOCATED",
        "COMP": "COMPLETING",
        "DRNG": "DRAINING",
        "FUTR": "FUTURE",
        "INVAL": "INVALID_REG",
        "MAINT": "MAINTENANCE",
        "MIX": "MIXED",
        "NO_RESPOND": "NOT_RESPONDING",
        "NPC": "PERFCTRS",
        "PLND": "PLANNED",
        "RESV": "RESERVED",
        "UNK": "UNKNOWN",
    }
)
# What sinfo makes of DRAIN and the rest: still busy, or not any more (IS_NODE_DRAINING and IS_NODE_DRAINED).
_DRAINS = frozenset({"DRAINED", "DRAINING"})
_BUSY = frozenset({"ALLOCATED", "MIXED", "ERROR", "COMPLETING"})

# Every word that may be asked for, with the word that Slurm's answers have for it.
JOB_STATES: Mapping[str, str] = MappingProxyType(
    {word: word for word in _SHORT_JOB_STATES} | {short: word for word, short in _SHORT_JOB_STATES.items() if short is not None}
)
NODE_STATES: Mapping[str, str] = MappingProxyType({word: word for word in _NODE_STATES | _DRAINS} | dict(_SHORT_NODE_STATES))


def node_words(told: Iterable[str]) -> frozenset[str]:
    """Return the words for a node that shows the words ``told``: those, in capitals, with DRAINED or DRAINING when it is DRAIN."""
    words = frozenset(word.upper() for word in told)
    if "DRAIN" not in words:
        return words
    return words | ({"DRAINING"} if words & _BUSY else {"DRAINED"})
