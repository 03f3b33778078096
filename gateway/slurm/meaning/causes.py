"""Slurm's error numbers in words: whose fault each is, and what to do about it (slurm/slurm_errno.h).

Only numbers are here that mean the same in 22.05, 24.11 and 26.05.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why Slurm refused: the status that is true of it, a title, and what to do next.

    ``general``: it says little, so another error beside it is told instead. ``words``: how Slurm writes it where it gives no number.
    """

    status: int
    title: str
    hint: str
    general: bool = False
    words: str = ""


_SINFO = "GET /slurm/VERSION/partitions (or 'sinfo') shows what there is."
_JOB = "GET /slurm/VERSION/jobs shows those that there are; finished ones leave it after MinJobAge: GET /slurmdb/VERSION/job/ID has them."
_ADMIN_LOG = "Administrators: slurmctld's log (SlurmctldLogFile) has the reason."
_ASSOCIATIONS = "'sacctmgr show associations user=NAME' (or GET /slurmdb/VERSION/associations) shows what you may use."
_OPERATOR = "Slurm lets administrators do this alone: 'sacctmgr show user NAME' shows the AdminLevel."
_LIMITS = "'sacctmgr show associations user=NAME' and 'sacctmgr show qos' show the limits; wait for running jobs to end, or ask for less."

CONTROLLER_DOWN = Cause(
    status=502,
    title="slurmctld does not answer",
    hint="slurmrestd works, but slurmctld behind it does not: nothing is wrong with the request. Try again in a minute. "
    "Administrators: 'scontrol ping', 'systemctl status slurmctld', SlurmctldHost and SlurmctldPort in slurm.conf.",
    words="Unable to contact slurm controller (connect failure)",
)
NO_CAUSE = Cause(
    status=500,
    title="Slurm named no cause",
    hint="Look whether slurmctld answers: GET /slurm/VERSION/diag. If it does, administrators find the reason in slurmrestd's and slurmctld's log.",
    general=True,
)
EITHER = Cause(
    status=500,
    title="Not there, or slurmctld does not answer",
    hint="This version of the API says the same of a job, node, partition or reservation that does not exist, and of any while slurmctld does "
    "not answer. GET /slurm/VERSION/ping tells which.",
    general=True,
)
_DATABASE_DOWN = Cause(
    status=502,
    title="slurmdbd does not answer",
    hint="Accounting is down; submitting and looking at jobs under /slurm/ goes on. Try again in a minute. "
    "Administrators: 'systemctl status slurmdbd', its log, and AccountingStorageHost in slurm.conf.",
)
_UNPARSED = Cause(
    status=400,
    title="A field of the request is not in this version's form",
    hint="The descriptions name the field. GET /openapi/v3 has the form of each; it changed between versions of the API.",
    general=True,
)
ACCOUNTING_DENIED = Cause(
    status=403, title="Slurm does not permit this", hint=f"Accounting is looked after by operators, and coordinators of accounts. {_OPERATOR}"
)
NO_SUCH_JOB = Cause(status=404, title="No such job", hint=_JOB, words="Invalid job id specified")
NO_SUCH_PARTITION = Cause(status=404, title="No such partition", hint=_SINFO)
NO_SUCH_NODE = Cause(status=404, title="No such node", hint="GET /slurm/VERSION/nodes (or 'sinfo -N') shows those that there are.")
NO_SUCH_RESERVATION = Cause(
    status=404, title="No such reservation", hint="GET /slurm/VERSION/reservations (or 'scontrol show reservation') shows those that there are."
)
NOTHING_FOUND = Cause(
    status=404,
    title="Nothing found",
    hint="Check the spelling; the list of all is the same path without the name. What others own may be hidden from you (PrivateData).",
)

CAUSES = {
    1005: Cause(
        status=502,
        title="Versions of Slurm do not fit together",
        hint="Administrators: slurmrestd must not be newer than slurmctld, nor more than two releases older.",
    ),
    1800: CONTROLLER_DOWN,
    1801: CONTROLLER_DOWN,
    1802: CONTROLLER_DOWN,
    1803: CONTROLLER_DOWN,
    1804: CONTROLLER_DOWN,
    1805: CONTROLLER_DOWN,
    2000: Cause(status=400, title="No such partition", hint=f"Correct 'partition' of the job. {_SINFO}"),
    2001: Cause(status=400, title="No partition is named, and none is the default", hint=f"Set 'partition' of the job. {_SINFO}"),
    2002: Cause(
        status=403,
        title="Slurm does not permit this",
        hint="A job is its owner's: only they, and Slurm's operators, may cancel or change it. " + _OPERATOR,
        words="Access/permission denied",
    ),
    2003: Cause(
        status=403, title="Not a member of the partition's groups", hint="'scontrol show partition NAME' shows AllowGroups; use another one."
    ),
    2004: Cause(status=400, title="The nodes are not in the partition", hint=f"Ask for nodes of the partition that the job names. {_SINFO}"),
    2005: Cause(status=400, title="More CPUs than there are", hint=f"Ask for fewer. {_SINFO}"),
    2006: Cause(status=400, title="The number of nodes is not possible", hint=f"Correct 'nodes'. {_SINFO}"),
    2007: Cause(  # ESLURM_MAX_JOB_COUNT; up to 25.11 ESLURM_ERROR_ON_DESC_TO_RECORD_COPY, which says that it could not be recorded
        status=503,
        title="slurmctld could not take one more job",
        hint="Try again when some have finished. Administrators: MaxJobCount in slurm.conf.",
    ),
    2008: Cause(status=400, title="The job does not say how large it is", hint="Set 'nodes' or 'tasks'."),
    2009: Cause(
        status=400,
        title="The job has no script",
        hint="The script stands beside 'job' up to v0.0.38 ({\"script\": …, \"job\": …}), and there or in 'job' later. The body must be valid UTF-8.",
    ),
    2010: Cause(status=403, title="Slurm does not permit this", hint=f"Nobody may act for another user. {_OPERATOR}", words="Invalid user id"),
    2012: Cause(
        status=400,
        title="The script or a path is too long",
        hint="A script may have 4 MiB (max_script_size in SchedulerParameters), a path 1024 bytes: put large data into files on the cluster.",
    ),
    2014: Cause(
        status=400,
        title="No node can ever run this",
        hint=f"Ask for less memory, fewer CPUs or nodes, or another partition. 'sinfo -Nel' shows what nodes have. {_SINFO}",
    ),
    2015: Cause(status=400, title="The partition has not what the job asks for", hint=f"Ask for less, or another partition. {_SINFO}"),
    2017: NO_SUCH_JOB,
    2018: Cause(status=400, title="No such node", hint=NO_SUCH_NODE.hint),
    2019: Cause(
        status=500,
        title="slurmctld could not write the job down",
        hint="Most often the job has no 'environment': set at least [\"PATH=/usr/bin:/bin\"]. Otherwise StateSaveLocation may be full.",
    ),
    2020: Cause(status=409, title="The job is just changing its state", hint="Try again in a few seconds."),
    2021: Cause(
        status=409,
        title="The job has ended, or is ending",
        hint="There is nothing left to cancel or change. GET /slurmdb/VERSION/job/ID shows how it ended.",
        words="Job/step already completing or completed",
    ),
    2023: Cause(status=400, title="The distribution of tasks is not possible", hint="Correct 'distribution': block, cyclic, plane=N, arbitrary."),
    2024: Cause(status=409, title="The job has not started", hint="Wait until it runs: GET /slurm/VERSION/job/ID."),
    2025: Cause(status=400, title="The number of tasks is not possible", hint="Correct 'tasks' and 'tasks_per_node'."),
    2027: Cause(status=503, title="The slurmctld that was asked is the backup", hint="Try again in a minute. Administrators: 'scontrol ping'."),
    2028: Cause(status=400, title="The state is none for a node", hint="'man scontrol', State under 'specifications for update node', names them."),
    2029: Cause(status=400, title="No node has this feature", hint="Correct 'constraints'. 'sinfo -o \"%N %f\"' shows the features of the nodes."),
    2036: Cause(status=400, title="Slurm cannot do this here", hint="This release, or the way in which this cluster is set up, does not have it."),
    2037: Cause(status=403, title="Switched off on this cluster", hint="Ask your administrators."),
    2038: Cause(
        status=400,
        title="The dependency is not possible",
        hint="Correct 'dependency', like afterok:123. The job must exist: one that finished longer ago than MinJobAge cannot be waited for.",
    ),
    2044: Cause(status=400, title="No node has so much memory", hint=f"Ask for less: 'memory_per_cpu', 'memory_per_node' (megabytes). {_SINFO}"),
    2045: Cause(
        status=400,
        title="Not an account that you may use here",
        hint="Correct 'account' and 'partition' of the job. If you have no account at all, ask your administrators for one ('sacctmgr add user'). "
        + _ASSOCIATIONS,
    ),
    2048: Cause(status=400, title="No such licence", hint="GET /slurm/VERSION/licenses (or 'scontrol show licenses') shows those that there are."),
    2050: Cause(status=403, title="A limit of your account or QOS is reached", hint=_LIMITS),
    2051: Cause(
        status=400,
        title="The time limit is not possible",
        hint="'time_limit' is in minutes, and at most the partition's: 'scontrol show partition NAME' shows MaxTime.",
    ),
    2052: Cause(status=403, title="Not your reservation", hint="'scontrol show reservation NAME' shows the users and accounts that it is for."),
    2053: Cause(status=400, title="No such reservation", hint=f"Correct 'reservation' of the job. {NO_SUCH_RESERVATION.hint}"),
    2054: Cause(
        status=400,
        title="The time makes no sense",
        hint="Up to v0.0.38 write 2030-01-31T12:00:00, now+1hour or uts1893456000; later versions also take seconds of the epoch.",
    ),
    2055: Cause(status=409, title="The nodes are reserved for others", hint="'scontrol show reservation' shows until when."),
    2056: Cause(status=409, title="The reservation cannot be used now", hint="'scontrol show reservation NAME' shows from when until when."),
    2057: Cause(status=400, title="No such wckey", hint="'sacctmgr show wckey' shows yours."),
    2066: Cause(status=400, title="Not a QOS that you may use", hint=f"Correct 'qos' of the job. {_ASSOCIATIONS}"),
    2068: Cause(status=409, title="The nodes are not available", hint="'sinfo -R' shows which are down or drained, and why."),
    2069: Cause(status=400, title="The number of CPUs is not possible", hint=f"Correct 'cpus_per_task' and 'tasks'. {_SINFO}"),
    2070: Cause(status=409, title="The partition takes no jobs now", hint=f"Use another one. {_SINFO}"),
    2071: Cause(status=400, title="Jobs would wait for each other", hint="Correct 'dependency'."),
    2072: Cause(
        status=400,
        title="No such generic resource",
        hint="Correct 'gres', 'gpus' or 'tres_per_…'. 'sinfo -o \"%N %G\"' shows what nodes have. Administrators: GresTypes in slurm.conf.",
    ),
    2073: Cause(status=409, title="The job has started", hint="This can be changed before it starts only."),
    2074: Cause(status=403, title="The account has used too much for this QOS", hint=_LIMITS),
    2078: Cause(status=409, title="It cannot start at once", hint="Submit it without 'immediate', and it waits."),
    2081: Cause(
        status=400,
        title="The array is not possible",
        hint="'array' is like 0-15, 1,3,5 or 0-100%4; 'scontrol show config' shows the largest index (MaxArraySize less one).",
    ),
    2083: Cause(status=409, title="The job has started", hint="This can be changed before it starts only."),
    2084: Cause(status=409, title="The job has finished", hint="GET /slurmdb/VERSION/job/ID shows how it ended."),
    2085: Cause(status=409, title="The job does not run", hint="GET /slurm/VERSION/job/ID shows its state."),
    2086: Cause(status=409, title="The job neither waits nor runs", hint="GET /slurm/VERSION/job/ID shows its state."),
    2087: Cause(status=409, title="The job is not suspended", hint="GET /slurm/VERSION/job/ID shows its state."),
    2099: Cause(status=400, title="Not an MCS label that you may use", hint="Correct 'mcs_label' of the job."),
    2101: Cause(status=409, title="The partition is down", hint=f"Use another one, or wait. {_SINFO}"),
    2105: Cause(status=503, title="The cluster takes no jobs now", hint="Administrators have disabled submissions; try again later."),
    2115: Cause(status=400, title="No such trackable resource", hint="'sacctmgr show tres' shows those that there are."),
    2119: Cause(status=400, title="No such type of generic resource", hint="'sinfo -o \"%N %G\"' shows what nodes have."),
    2123: Cause(status=400, title="The nice value is not possible", hint="Correct 'nice'; below 0 only operators may go."),
    2124: Cause(status=400, title="The least time is not possible", hint="'time_minimum' is in minutes, and at most 'time_limit'."),
    2127: Cause(
        status=400,
        title="The job has no environment",
        hint='Set \'environment\': {"PATH": "/usr/bin:/bin"} up to v0.0.38, ["PATH=/usr/bin:/bin"] later.',
    ),
    2129: Cause(status=403, title="Not your reservation", hint="'scontrol show reservation NAME' shows the users and accounts that it is for."),
    2130: Cause(status=400, title="Several partitions at once are not possible for your account", hint="Name one partition."),
    2131: Cause(status=503, title="The slurmctld that was asked is the backup", hint="Try again in a minute. Administrators: 'scontrol ping'."),
    2134: Cause(status=400, title="Not enough of a generic resource", hint="Ask for less. 'sinfo -o \"%N %G\"' shows what nodes have."),
    2167: Cause(status=400, title="Not an account that you may use here", hint=_ASSOCIATIONS),
    2173: Cause(status=400, title="No job is named", hint='Name jobs ({"jobs": ["123"]}) or a filter: all jobs are not meant by nothing.'),
    7000: _DATABASE_DOWN,
    7001: Cause(status=409, title="Jobs still run there", hint="Wait for them to end, or cancel them: 'squeue -A ACCOUNT'."),
    7004: Cause(status=400, title="The name is not possible", hint="Use letters, digits, '-' and '_'."),
    7006: Cause(status=400, title="The answer would be too large", hint="Ask for less: name users, accounts, or start_time and end_time."),
    7007: Cause(
        status=400, title="The question is too wide", hint="Name start_time and end_time. Administrators: MaxQueryTimeRange in slurmdbd.conf."
    ),
    7008: _DATABASE_DOWN,
    7009: Cause(status=409, title="A default account cannot be removed", hint="Give its users another default first."),
    9000: Cause(
        status=400,
        title="A parameter or the body is not what the call takes",
        hint="The descriptions say which. GET /openapi/v3 has the form.",
        general=True,
    ),
    9001: _UNPARSED,
    9002: Cause(status=400, title="No job is described", hint="The body needs 'job' (one) or 'jobs' (the parts of a heterogeneous one)."),
    9003: NOTHING_FOUND,
    9004: Cause(status=400, title="The user is not known to Slurm", hint="The user must exist on slurmctld's machine."),
    9005: Cause(status=400, title="The group is not known to Slurm", hint="The group must exist on slurmctld's machine."),
    9202: _UNPARSED,
    9207: _UNPARSED,
    9208: _UNPARSED,
    9209: _UNPARSED,
}

IN_WORDS = {cause.words: cause for cause in CAUSES.values() if cause.words}
