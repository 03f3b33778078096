"""sbatch's options, and what each of them is in a job: a table, and nothing that it does not name is let through (pure).

All of sbatch's options of 22.05 and 24.11 are in it, for a long one may be shortened as far as it stays the only one with that beginning
(getopt_long). Those that cannot be asked for over the REST API, in at least one version of it, say why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.client.jobfile import values
from gateway.client.jobfile.values import ENDLESS, number

Argument = Literal["none", "required", "optional"]


@dataclass(slots=True, kw_only=True)
class Draft:
    """What the options of one script have asked for so far.

    ``fields`` are the job's, ``places`` where each was asked for; the rest concerns its environment, and what is to be said.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    export: str | None = None
    login_environment: bool = False
    ignore_others: bool = False
    notes: list[str] = field(default_factory=list)


Take = Callable[[Draft, str], None]
"""Puts a value into a draft; raises ValueError, whose text follows the option's name. An optional argument that is left out is ''."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option; with ``refused`` it is known, and says why it cannot be taken, and ``hint`` what to do instead."""

    name: str
    short: str | None = None
    argument: Argument = "required"
    take: Take | None = None
    refused: str | None = None
    hint: str | None = None


def _text(name: str) -> Take:
    def take(draft: Draft, value: str) -> None:
        if not value:
            raise ValueError("must not be empty")
        draft.fields[name] = value

    return take


def _whole(name: str, *, least: int = 0, most: int = values.MOST) -> Take:
    def take(draft: Draft, value: str) -> None:
        draft.fields[name] = values.whole(value, least=least, most=most)

    return take


def _made(name: str, make: Callable[[str], Any]) -> Take:
    def take(draft: Draft, value: str) -> None:
        draft.fields[name] = make(value)

    return take


def _set(name: str, said: Any) -> Take:  # noqa: ANN401 - a field's value
    def take(draft: Draft, value: str) -> None:
        del value
        draft.fields[name] = said

    return take


def _file(name: str) -> Take:
    """``none`` is sbatch's word for no file at all."""
    return _made(name, lambda value: "/dev/null" if value.lower() == "none" else _not_empty(value))


def _not_empty(value: str) -> str:
    if not value:
        raise ValueError("must not be empty")
    return value


def _memory(name: str) -> Take:
    return _made(name, lambda value: number(values.megabytes(value)))


def _exclusive(draft: Draft, value: str) -> None:
    draft.fields["exclusive"] = values.one_of(value or "exclusive", "exclusive", "user", "mcs")


def _export(draft: Draft, value: str) -> None:
    draft.export = _not_empty(value)


def _get_user_env(draft: Draft, value: str) -> None:
    del value
    draft.login_environment = True


def _gres(draft: Draft, value: str) -> None:
    if value.lower() == "none":
        draft.fields.pop("gres", None)
    else:
        draft.fields["gres"] = _not_empty(value)


def _mail_type(draft: Draft, value: str) -> None:
    before = draft.fields.get("mail_type")
    kinds = values.mail_types(value)
    draft.fields["mail_type"] = kinds if before is None or "NONE" in (kinds, before) else values.mail_types(f"{before},{kinds}")


def _nice(draft: Draft, value: str) -> None:
    draft.fields["nice"] = values.whole(value or "100", least=-2147483645, most=2147483645)


def _priority(draft: Draft, value: str) -> None:
    if value == "0":
        raise ValueError("must not be 0: --hold holds a job")
    draft.fields["priority"] = number(values.MOST if value.upper() == "TOP" else values.whole(value, least=1, most=values.MOST))


def _kill_on_invalid_dependency(draft: Draft, value: str) -> None:
    draft.fields["kill_on_invalid_dependency"] = values.one_of(value, "yes", "no") == "yes"


def _open_mode(draft: Draft, value: str) -> None:
    if value[:1].lower() not in {"a", "t"}:
        raise ValueError("must be append or truncate")
    draft.fields["open_mode"] = ["APPEND" if value[0].lower() == "a" else "TRUNCATE"]


def _signal(draft: Draft, value: str) -> None:
    flags, name, seconds = values.signal(value)
    draft.fields |= {"kill_warning_signal": name, "kill_warning_delay": number(seconds)}
    draft.fields.pop("kill_warning_flags", None)
    if flags:
        draft.fields["kill_warning_flags"] = flags


def _extra_node_info(draft: Draft, value: str) -> None:
    parts = value.split(":")
    if not value.strip("*:") or len(parts) > 3:  # noqa: PLR2004 - S[:C[:T]]
        raise ValueError("must be written SOCKETS[:CORES[:THREADS]]")
    sockets, cores, threads = (*parts, "", "")[:3]
    if cores.strip("*"):
        raise ValueError(f"asks for cores per socket, which {_NO_CORES}")
    if sockets.strip("*"):
        draft.fields["sockets_per_node"] = values.whole(sockets, least=1)
    if threads.strip("*"):
        draft.fields["threads_per_core"] = values.whole(threads, least=1)


def _switches(draft: Draft, value: str) -> None:
    count, at, longest = value.partition("@")
    draft.fields["required_switches"] = number(values.whole(count, least=1))
    if at:
        limit = values.minutes(longest)
        if limit == ENDLESS:
            raise ValueError("must end with a time other than 0 or UNLIMITED")
        draft.fields["wait_for_switch"] = 60 * limit["number"]


def _propagate(draft: Draft, value: str) -> None:
    if value.upper() != "NONE":
        raise ValueError("asks for this machine's limits, which do not travel; NONE is what a job gets here")
    draft.notes.append("Limits of this machine do not travel, so --propagate=NONE is what happens anyway.")


def _profile(draft: Draft, value: str) -> None:
    del draft
    if value.upper() != "NONE":
        raise ValueError("has another form in each version of the REST API; only NONE can be asked for")


def _of_sbatch(says: str) -> Take:
    def take(draft: Draft, value: str) -> None:
        del value
        draft.notes.append(says)

    return take


def _ignore_pbs(draft: Draft, value: str) -> None:
    del value
    draft.ignore_others = True


_NO_FIELD = "has no field in the REST API that each version takes"
_NO_CORES = "newer versions of the REST API have no field for"
_A_FILE = "reads a file of the machine that sbatch runs on"
_NOT_A_JOBS = "is for the person at the terminal, not for the job"
_ADMINISTRATORS = "is for administrators only"

_TABLE = (
    Option(name="account", short="A", take=_text("account")),
    Option(name="acctg-freq", take=_text("account_gather_frequency")),
    Option(name="array", short="a", take=_text("array")),
    Option(name="autocomplete", refused=_NOT_A_JOBS),
    Option(name="batch", take=_text("batch_features")),
    Option(name="bb", take=_text("burst_buffer")),
    Option(name="bbf", refused=_A_FILE, hint="Write what the file says: --bb=SPECIFICATION."),
    Option(name="begin", short="b", take=_text("begin_time")),
    Option(name="chdir", short="D", take=_text("current_working_directory")),
    Option(name="cluster", refused="chooses a cluster, which the command line does here", hint="Use --cluster NAME on the command line."),
    Option(name="cluster-constraint", refused="is for federations, which jobs from here do not enter"),
    Option(name="clusters", short="M", refused="chooses a cluster, which the command line does here", hint="Use --cluster NAME on the command line."),
    Option(name="comment", take=_text("comment")),
    Option(name="constraint", short="C", take=_text("constraints")),
    Option(name="container", take=_text("container")),
    Option(name="container-id", take=_text("container_id")),
    Option(name="context", refused=_NO_FIELD),
    Option(name="contiguous", argument="none", take=_set("contiguous", True)),
    Option(name="core-spec", short="S", take=_whole("core_specification")),
    Option(name="cores-per-socket", refused=f"is what {_NO_CORES}"),
    Option(name="cpu-freq", take=_text("cpu_frequency")),
    Option(name="cpus-per-gpu", take=_whole("cpus_per_gpu", least=1)),
    Option(name="cpus-per-task", short="c", take=_whole("cpus_per_task", least=1, most=0xFFFD)),
    Option(name="deadline", take=_text("deadline")),
    Option(name="delay-boot", refused=_NO_FIELD),
    Option(name="dependency", short="d", take=_text("dependency")),
    Option(name="distribution", short="m", take=_text("distribution")),
    Option(name="error", short="e", take=_file("standard_error")),
    Option(name="exclude", short="x", take=_made("excluded_nodes", values.nodes)),
    Option(name="exclusive", argument="optional", take=_exclusive),
    Option(name="export", take=_export),
    Option(name="export-file", refused=_A_FILE, hint="Name the variables: --export=NAME=VALUE,NAME."),
    Option(name="extra", take=_text("extra")),
    Option(name="extra-node-info", short="B", take=_extra_node_info),
    Option(name="get-user-env", argument="optional", take=_get_user_env),
    Option(name="gid", refused=_ADMINISTRATORS),
    Option(name="gpu-bind", refused=_NO_FIELD),
    Option(name="gpu-freq", refused=_NO_FIELD),
    Option(name="gpus", short="G", take=_text("gpus")),
    Option(name="gpus-per-node", take=_text("gpus_per_node")),
    Option(name="gpus-per-socket", take=_text("gpus_per_socket")),
    Option(name="gpus-per-task", take=_text("gpus_per_task")),
    Option(name="gres", take=_gres),
    Option(name="gres-flags", take=_made("gres_flags", lambda value: values.one_of(value, "disable-binding", "enforce-binding"))),
    Option(name="help", short="h", argument="none", refused=_NOT_A_JOBS),
    Option(name="hint", refused=_NO_FIELD),
    Option(name="hold", short="H", argument="none", take=_set("hold", True)),
    Option(name="ignore-pbs", argument="none", take=_ignore_pbs),
    Option(name="input", short="i", take=_file("standard_input")),
    Option(name="job-name", short="J", take=_text("name")),
    Option(name="kill-on-invalid-dep", take=_kill_on_invalid_dependency),
    Option(name="licenses", short="L", take=_text("licenses")),
    Option(name="mail-type", take=_mail_type),
    Option(name="mail-user", take=_text("mail_user")),
    Option(name="mcs-label", take=_text("mcs_label")),
    Option(name="mem", take=_memory("memory_per_node")),
    Option(name="mem-bind", refused=_NO_FIELD),
    Option(name="mem-per-cpu", take=_memory("memory_per_cpu")),
    Option(name="mem-per-gpu", take=_made("memory_per_gpu", values.megabytes)),
    Option(name="mincpus", take=_whole("minimum_cpus_per_node", least=1, most=0xFFFD)),
    Option(name="network", refused=_NO_FIELD),
    Option(name="nice", argument="optional", take=_nice),
    Option(name="no-kill", short="k", argument="optional", refused=_NO_FIELD),
    Option(name="no-requeue", argument="none", take=_set("requeue", False)),
    Option(name="nodefile", short="F", refused=_A_FILE, hint="Name the nodes: --nodelist=NAME,NAME."),
    Option(name="nodelist", short="w", take=_made("required_nodes", values.nodes)),
    Option(name="nodes", short="N", take=_made("nodes", values.node_count)),
    Option(name="ntasks", short="n", take=_whole("tasks", least=1)),
    Option(name="ntasks-per-core", take=_whole("tasks_per_core", least=1, most=0xFFFD)),
    Option(name="ntasks-per-gpu", take=_whole("ntasks_per_tres", least=1, most=0xFFFD)),
    Option(name="ntasks-per-node", take=_whole("tasks_per_node", least=1, most=0xFFFD)),
    Option(name="ntasks-per-socket", take=_whole("tasks_per_socket", least=1, most=0xFFFD)),
    Option(name="ntasks-per-tres", take=_whole("ntasks_per_tres", least=1, most=0xFFFD)),
    Option(name="oom-kill-step", argument="optional", take=_made("oom_kill_step", lambda value: values.whole(value or "1", most=1))),
    Option(name="open-mode", take=_open_mode),
    Option(name="output", short="o", take=_file("standard_output")),
    Option(name="overcommit", short="O", argument="none", take=_set("overcommit", True)),
    Option(name="oversubscribe", short="s", argument="none", take=_set("exclusive", "oversubscribe")),
    Option(name="parsable", argument="none", take=_of_sbatch("--parsable is about what sbatch prints; here it is --json on the command line.")),
    Option(name="partition", short="p", take=_text("partition")),
    Option(name="power", refused="is gone from Slurm"),
    Option(name="prefer", take=_text("prefer")),
    Option(name="priority", take=_priority),
    Option(name="profile", take=_profile),
    Option(name="propagate", argument="optional", take=_propagate),
    Option(name="qos", short="q", take=_text("qos")),
    Option(name="quiet", short="Q", argument="none", take=_of_sbatch("--quiet is about what sbatch prints; it does nothing here.")),
    Option(name="reboot", argument="none", take=_set("reboot", True)),
    Option(name="requeue", argument="none", take=_set("requeue", True)),
    Option(name="reservation", take=_text("reservation")),
    Option(name="resv-ports", argument="optional", refused=_NO_FIELD),
    Option(name="segment", take=_made("segment_size", lambda value: number(values.whole(value, least=1, most=0xFFFD)))),
    Option(name="signal", take=_signal),
    Option(name="sockets-per-node", take=_whole("sockets_per_node", least=1, most=0xFFFD)),
    Option(name="spread-job", argument="none", take=_set("spread_job", True)),
    Option(name="stepmgr", argument="none", refused=_NO_FIELD),
    Option(name="switches", take=_switches),
    Option(name="tasks-per-node", take=_whole("tasks_per_node", least=1, most=0xFFFD)),
    Option(name="test-only", argument="none", refused="would not submit anything", hint="Use --dry-run on the command line."),
    Option(name="thread-spec", take=_whole("thread_specification")),
    Option(name="threads-per-core", take=_whole("threads_per_core", least=1, most=0xFFFD)),
    Option(name="time", short="t", take=_made("time_limit", values.minutes)),
    Option(name="time-min", take=_made("time_minimum", values.minutes)),
    Option(name="tmp", take=_made("temporary_disk_per_node", values.megabytes)),
    Option(name="tres-bind", take=_text("tres_bind")),
    Option(name="tres-per-task", take=_text("tres_per_task")),
    Option(name="uid", refused=_ADMINISTRATORS),
    Option(name="usage", argument="none", refused=_NOT_A_JOBS),
    Option(name="use-min-nodes", argument="none", take=_set("minimum_nodes", True)),
    Option(name="verbose", short="v", argument="none", take=_of_sbatch("--verbose is about what sbatch prints; it does nothing here.")),
    Option(name="version", short="V", argument="none", refused=_NOT_A_JOBS),
    Option(name="wait", short="W", argument="none", take=_of_sbatch("--wait in a script does nothing here; it is --wait on the command line.")),
    Option(name="wait-all-nodes", take=_whole("wait_all_nodes", most=1)),
    Option(name="wckey", take=_text("wckey")),
    Option(name="wrap", refused="brings a script of its own"),
)

OPTIONS = {option.name: option for option in _TABLE}
SHORT = {option.short: option for option in _TABLE if option.short is not None}
