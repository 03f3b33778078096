"""Submissions of distinct people on 16 connections, with and without a key, and whether Slurm has each of them once."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path

from tests.bench.load import DONE, Headers, Sample, beside, figures, lua_table, scripted
from tests.bench.servers import Bench, front, gateway
from tests.bench.table import Row, median_ratio

PATH = "/slurm/v0.0.38/job/submit"
CONNECTIONS = 16
SECONDS = 1  # a burst: all of them together must fit into Slurm's queue
AIM = 0.90
_JOB = {
    "name": "%NAME%",
    "partition": "main",
    "hold": True,
    "current_working_directory": "/tmp",
    "standard_output": "/dev/null",
    "environment": {"PATH": "/bin:/usr/bin"},
}
BODY = json.dumps({"job": _JOB, "script": "#!/bin/sh\ntrue\n"})

# Each request has a job name of its own, and each answer's job id is written down.
_SCRIPT = """
local people = {%(people)s}
local body, name, key = %(body)s, %(name)s, %(key)s
local turn, file = 0, nil
function init(_)
  file = io.open(%(file)s, "w")
  for _, headers in ipairs(people) do headers["Content-Type"] = "application/json" end
end
function request()
  turn = turn + 1
  local headers = people[turn %% #people + 1]
  if key then headers["Idempotency-Key"] = name .. turn end
  return wrk.format("POST", %(path)s, headers, (body:gsub("%%%%NAME%%%%", name .. turn)))
end
function response(status, _, answer)
  file:write(status, " ", answer:match('"job_id": ?(%%d+)') or "none", "\\n")
  file:flush()
end
"""


def measure(bench: Bench) -> list[Row]:
    """Compare both with nginx → slurmrestd, then count in Slurm what came of all of them."""
    direct = bench.site.told["slurmrestd"]
    with gateway(bench, upstream=direct) as ours, front(bench, to_gateway=ours.address, direct=direct) as nginx:
        processes = {"nginx": nginx.pid, "gateway": ours.pid, "slurmrestd": bench.site.told["pids"]["slurmrestd"]}
        mine, theirs = [person.ours() for person in bench.people], [person.direct() for person in bench.people]
        burst = partial(_burst, bench, processes)
        ways = {
            "direct": partial(burst, nginx.direct, theirs, key=False),
            "without a key": partial(burst, nginx.ours, mine, key=False),
            "with `Idempotency-Key`": partial(burst, nginx.ours, mine, key=True),
        }
        taken: dict[str, list[Sample]] = {name: [] for name in ways}
        sent: dict[str, list[str]] = {name: [] for name in ways}
        for number in range(bench.rounds):
            for way in ways if number % 2 == 0 else reversed(ways):
                label = f"{way.split()[0]}{way.split()[1][:1] if ' ' in way else ''}-{number}-".replace("`", "")
                taken[way].append(ways[way](label))
                sent[way].append(label)
        said = {way: _said(bench, labels) for way, labels in sent.items()}
        jobs = _jobs(bench)
        bench.inside("sh", "-c", "squeue --noheader --format=%A | xargs --no-run-if-empty -n 500 scancel")
    return [_row(way, taken, sent[way], said[way], jobs) for way in ways if way != "direct"]


def _burst(bench: Bench, processes: dict[str, int], base: str, people: list[Headers], name: str, *, key: bool) -> Sample:
    values = {
        "people": ",".join(map(lua_table, people)),
        "body": json.dumps(BODY),
        "name": json.dumps(name),
        "key": "true" if key else "false",
        "file": beside(_file(bench, name)),
        "path": json.dumps(PATH),
    }
    return scripted(base, _SCRIPT % values + DONE, CONNECTIONS, SECONDS, processes)


def _file(bench: Bench, label: str) -> Path:
    return bench.folder / f"{label}answers"


def _said(bench: Bench, labels: list[str]) -> list[str]:
    """Return the job ids that were answered, and exit if something was answered that is no success."""
    lines = [line.split() for label in labels for line in _file(bench, label).read_text().splitlines()]
    if wrong := Counter(status for status, _ in lines if status != "200"):
        raise SystemExit(f"submissions were refused: {wrong}")
    return [job for _, job in lines]


def _jobs(bench: Bench) -> dict[str, str]:
    """Return the jobs that Slurm has, names by ids."""
    lines = bench.inside("squeue", "--noheader", "--states=all", "--format=%A %j").splitlines()
    return dict(line.split(maxsplit=1) for line in lines)


def _row(way: str, taken: dict[str, list[Sample]], labels: list[str], said: list[str], jobs: dict[str, str]) -> Row:
    ratio = median_ratio([one.per_second for one in taken[way]], [one.per_second for one in taken["direct"]])
    names = Counter(name for name in jobs.values() if name.startswith(tuple(labels)))
    lost = sum(job not in jobs for job in said)
    doubled = sum(count - 1 for count in names.values()) + len(said) - len(set(said))
    unheard = len(names) - len(said)  # wrk ends while some are on their way
    return Row(
        work=f"submissions, {CONNECTIONS} connections, {way}",
        without=figures(taken["direct"]),
        ours=f"{figures(taken[way])}; {len(said)} answered, {lost} lost, {doubled} doubled",
        ratio=f"{ratio:.2f}",
        aim=f"≥ {AIM:.2f}, 0 lost, 0 doubled",
        met=ratio >= AIM and lost == doubled == 0 and 0 <= unheard <= CONNECTIONS * len(labels),
    )
