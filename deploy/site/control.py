"""The commands other than `up`: down, status, otp, and one service at a time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

from . import one_time
from .layout import Layout
from .namespace import reopen_namespace
from .processes import wait_until
from .record import Memory, alone, recall
from .services import Service, Services, running, stop
from .site import ORDER, definitions, describe
from .trouble import Trouble


def existing(layout: Layout) -> Memory:
    """Return the memory of a site that must be there."""
    if not layout.marker.exists():
        raise Trouble(f"There is no demo in {layout.root}.", hint=f"make one: deploy/demo up --state {layout.root}")
    return recall(layout)


def down(layout: Layout) -> int:
    """End the services in good order, then everything that is left inside."""
    if not layout.marker.exists():
        print(f"There is no demo in {layout.root}: nothing to end.")
        return 0
    with alone(layout):
        memory = recall(layout)
        space = reopen_namespace(layout, memory.record.holder)
        if space is None:
            print(f"The demo in {layout.root} is down already.")
        else:
            began = time.monotonic()
            for service in reversed(definitions(memory, space)):
                stop(memory, service.name, service.stop_signal, service.stop_limit)
            space.end()
            print(f"The demo in {layout.root} is down ({time.monotonic() - began:.1f} s). Its data stays there.")
        with memory.change() as record:
            record.holder, record.services, record.unfinished = None, {}, False
        if layout.description.exists():
            describe(memory)
    return 0


def status(layout: Layout, *, as_json: bool) -> int:
    """Say what runs; 0 when all of it does, else 1."""
    memory = existing(layout)
    found = {name: running(memory, name) for name in ORDER}
    up = all(found.values())
    if as_json:
        services = {name: {"pid": process.pid if process else None, "up": process is not None} for name, process in found.items()}
        url = f"https://127.0.0.1:{memory.record.port}"
        print(json.dumps({"state": str(layout.root), "url": url, "up": up, "services": services}))
    else:
        for name, process in found.items():
            print(f"  {name:<12} {f'up    pid {process.pid}' if process else 'down'}")
    return 0 if up else 1


def otp(layout: Layout, user: str) -> int:
    """Print a code that will be accepted, waiting for its time where that must be."""
    memory = existing(layout)
    secret = memory.record.totp.get(user)
    if secret is None:
        have = ", ".join(memory.record.totp) or "nobody yet"
        raise Trouble(f"{user} has no second factor in this demo.", hint=f"who has one: {have}")
    step, wait = one_time.next_step(time.time(), one_time.last_step(layout.gateway_store, user))
    if wait:
        print(f"the codes of this moment are used up; the next one comes in {wait:.0f} s", file=sys.stderr, flush=True)
        wait_until(lambda: time.time() >= (step - one_time.AHEAD) * one_time.STEP_SECONDS, wait + 5)
    print(one_time.code(secret, step))
    return 0


def one_service(layout: Layout, name: str, action: str) -> int:
    """Stop, start or restart one service of a site that is up."""
    existing(layout)
    with alone(layout):
        memory = recall(layout)
        space = reopen_namespace(layout, memory.record.holder)
        if space is None:
            raise Trouble(f"The demo in {layout.root} is down.", hint=f"deploy/demo up --state {layout.root}")
        service = _named(definitions(memory, space), name)
        began = time.monotonic()
        with memory.change() as record:
            unfinished, record.unfinished = record.unfinished, True
        try:
            if action != "start":
                stop(memory, name, service.stop_signal, service.stop_limit)
            if action != "stop" and running(memory, name) is None:
                Services(memory, space).start(service)
        finally:
            with memory.change() as record:
                record.unfinished = unfinished
            describe(memory)
        done = {"stop": "stopped", "start": "started", "restart": "restarted"}[action]
        print(f"  {name:<12} {time.monotonic() - began:5.1f} s  {done}")
    return 0


def _named(services: Sequence[Service], name: str) -> Service:
    return next(service for service in services if service.name == name)
