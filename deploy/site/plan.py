"""The steps that raise a site, and what each of them needs; those that need nothing of each other run side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import database, directory, environment, gateway, slurm, web
from .namespace import Namespace
from .record import Memory
from .release import RELEASES
from .services import Services
from .site import definitions
from .steps import Step


@dataclass(slots=True, kw_only=True)
class Plan:
    """One run of `up` inside an open namespace; `started` says in the end which services had to be started."""

    memory: Memory
    space: Namespace
    python: Path | None
    started: list[str] = field(default_factory=list)

    def steps(self) -> list[Step]:
        """Return all steps, each with the names of those it needs."""
        memory, layout, space = self.memory, self.memory.layout, self.space
        record = memory.record
        return [
            Step("venv", self._environment),
            self._server("munge"),
            self._server("mariadb", before=lambda: database.prepare(layout, record.ids, space), after=lambda: database.grant(layout, space)),
            self._server("slapd", before=lambda: directory.prepare(layout, record, space)),
            self._server("slurmdbd", "munge", "mariadb", after=lambda: slurm.fill_accounts(layout, space.seeing(RELEASES[record.release].usr))),
            self._server("slurmctld", "slurmdbd"),
            self._server("slurmd", "slurmctld"),
            self._server("slurmrestd", "slurmctld"),
            Step("enrolment", self._enrolment, ("venv", "slapd")),
            self._server("gateway", "enrolment", "slurmrestd"),
            self._server("nginx", "gateway", before=lambda: web.prepare(memory, space)),
        ]

    def _server(self, name: str, *needs: str, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None) -> Step:
        """Return a step that sees that a server runs, with what must be there before and what it is given after."""

        def work() -> str:
            if before:
                before()
            service = next(service for service in definitions(self.memory, self.space) if service.name == name)
            fresh = Services(self.memory, self.space).ensure(service)
            if fresh:
                self.started.append(name)
            if after:
                after()
            return "started" if fresh else "up already"

        return Step(name, work, needs)

    def _environment(self) -> str:
        layout = self.memory.layout
        built = self.python is None and environment.build(layout)
        command = environment.command_beside(self.python or layout.venv / "bin" / "python")
        with self.memory.change() as record:
            record.command = command
        return f"{'built' if built else 'there already'}: {command[0]}"

    def _enrolment(self) -> str:
        gateway.check(self.memory, self.space)
        fresh = gateway.enrol(self.memory, self.space)
        return f"{fresh} second factors made" if fresh else "there already"
