"""`up`: from whatever there is to a whole running site, or to one sentence that says why not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from . import accounts, certificates, directory, environment, gateway, munge, packages, preconditions, second_debian, slurm
from .farewell import farewell
from .job import PERSON, NotLetInError, run_first
from .layout import Layout
from .namespace import Namespace, open_namespace, reopen_namespace
from .plan import Plan
from .ports import choose
from .processes import Process
from .record import Memory, Record, alone, recall
from .release import DEFAULT, RELEASES
from .services import running, sweep
from .site import PORTS, describe
from .steps import Step, run_all, run_one
from .trouble import Trouble

NO_ORIGIN = "none"
"""In the place of an origin: those that there were are forgotten."""


def up(layout: Layout, release: str | None, port: int | None, python: Path | None, origins: Sequence[str] = ()) -> int:
    """Bring the site up, repair what is down, or find that all is well; ``origins`` take the place of those that it had, if there are any."""
    began = time.monotonic()
    preconditions.check_place(layout)
    preconditions.check_ours(layout)
    preconditions.check_seen(layout, RELEASES[release or recall(layout).record.release])
    if python is not None:
        environment.command_beside(python)
    if not layout.marker.exists():
        _check_port(Memory(layout, Record()), port)
    print(f"slurm-gateway demo in {layout.root}", flush=True)
    layout.root.mkdir(parents=True, exist_ok=True)
    layout.marker.touch()
    layout.logs.mkdir(mode=0o700, exist_ok=True)
    with alone(layout):
        memory = recall(layout)
        settle_release(memory, release)
        _clear(memory)
        _check_port(memory, port)
        _settle_origins(memory, origins)
        fresh = _raise_site(memory, port, python)
        url = f"https://127.0.0.1:{memory.record.port}"
        took = f"up after {time.monotonic() - began:.0f} s" if fresh else "up already, and every service answers"
        print(f"\nThe site is {took}: {url}\n{farewell(layout, memory.record)}")
    return 0


def settle_release(memory: Memory, wanted: str | None) -> None:
    """Keep the Slurm that the site was made with: no older one reads what a newer one wrote down."""
    record = memory.record
    if record.slurm_version:
        if wanted not in (None, record.release):
            sentence = f"The demo in {memory.layout.root} has the Slurm of {record.release}, not of {wanted}."
            raise Trouble(sentence, hint="give the other one a --state of its own, or leave --release out.")
        return
    with memory.change():
        record.release = wanted or DEFAULT


def _settle_origins(memory: Memory, wanted: Sequence[str]) -> None:
    if wanted:
        with memory.change() as record:
            record.origins = [origin for origin in dict.fromkeys(wanted) if origin != NO_ORIGIN]


def _clear(memory: Memory) -> None:
    """End what nobody looks after: after a command that was cut short that may be anything, else what killed services left."""
    space = reopen_namespace(memory.layout, memory.record.holder)
    if space and memory.record.unfinished:
        print("  the last command was cut short: ending all that it left", flush=True)
        space.end()
    sweep(memory)


def _check_port(memory: Memory, port: int | None) -> None:
    record = memory.record
    wanted = record.port if port is None else port
    if not (running(memory, "nginx") and record.port == wanted):
        preconditions.check_port(wanted)


def _raise_site(memory: Memory, port: int | None, python: Path | None) -> bool:
    """Run all steps; False when everything was there and nothing had to be done."""
    layout = memory.layout
    run_one(Step("packages", lambda: _packages(layout)))
    release = RELEASES[memory.record.release]
    if release.folder:
        run_one(Step(release.name, partial(_folder, release.folder)))
    run_one(Step("files", lambda: _files(memory, port)))
    space = reopen_namespace(layout, memory.record.holder) or _open(memory)
    with memory.change() as record:
        record.unfinished = True
    plan = Plan(memory=memory, space=space, python=python)
    run_all(plan.steps())
    nothing_done = memory.record.complete and not plan.started
    if not nothing_done:
        run_one(Step("job", lambda: _job(memory, space)))
    with memory.change() as record:
        record.complete, record.unfinished = True, False
    describe(memory)
    return not nothing_done


def _packages(layout: Layout) -> str:
    lacking = packages.look()
    if not lacking:
        return "all there"
    print(f"  installing {len(lacking)} Debian packages and what they need; this takes a minute or two", flush=True)
    packages.install(lacking, layout.log("apt"))
    return f"installed {' '.join(lacking)}"


def _folder(folder: second_debian.Folder) -> str:
    return f"{'built' if second_debian.ensure(folder) else 'there already'}: {folder.place}"


def _files(memory: Memory, port: int | None) -> str:
    """Numbers, names, keys and configuration: nothing here waits for anything."""
    layout, release = memory.layout, RELEASES[memory.record.release]
    with memory.change() as record:
        record.port = record.port if port is None else port
        record.ids = record.ids or accounts.choose_ids(accounts.in_use_here)
        record.ports = choose(record.ports, {name: bool(running(memory, owner)) for name, owner in PORTS.items()})
        record.slurm_version = slurm.version(release.usr)
        directory.draw_secrets(record)
    accounts.make_homes(layout, record.ids)
    munge.prepare(layout, record.ids)
    slurm.prepare(layout, record.ids, record.ports, release)
    certificates.make(layout, {"slapd": record.ids["sgw-ldap"], "nginx": record.ids["sgw-nginx"]})
    gateway.prepare(layout, record)
    return "accounts, keys, certificates, configuration"


def _open(memory: Memory) -> Namespace:
    layout = memory.layout
    accounts.build_private_etc(layout, accounts.accounts(layout, memory.record.ids))

    def note(holder: Process) -> None:
        with memory.change() as record:
            record.holder, record.services, record.complete = holder, {}, False

    return open_namespace(layout, note)


def _job(memory: Memory, space: Namespace) -> str:
    try:
        job = run_first(memory)
    except NotLetInError:
        gateway.enrol_anew(memory, space, PERSON)  # somebody tried enrolment on this site, and its secret is theirs now
        job = run_first(memory)
    return f"job {job.number} of {PERSON} COMPLETED, {job.output} says: {job.text}"
