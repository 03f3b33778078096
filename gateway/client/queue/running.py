"""The queue: carries out what the engine decides, with the journal, the folder and the gateway."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from gateway.client import jobfile
from gateway.client.cluster import Job
from gateway.client.errors import (
    SIGN_IN_AGAIN,
    STALE,
    GatewayError,
    JobFileError,
    NotUnderstoodError,
    RefusedError,
    SlurmRefusedError,
    UnreachableError,
)
from gateway.client.hints import of_commands
from gateway.client.queue import folder as folders
from gateway.client.queue import records
from gateway.client.queue.engine import Engine
from gateway.client.queue.folder import Stillness
from gateway.client.queue.journal import Journal
from gateway.client.queue.judging import Verdict, is_forgotten, is_passing, judge, may_be_told_later
from gateway.client.queue.ledger import FREE, UNKNOWN, Entry, Ledger, Status
from gateway.client.queue.outcome import Outcome, Outcomes, belonging
from gateway.client.queue.plan import Finish, Leave, LookAtFolder, LookAtJobs, Options, Send, Sleep, Take
from gateway.client.queue.searching import choose, sightings
from gateway.client.queue.telling import QueueEvent
from gateway.client.queue.watching import FolderChanged, FolderWatch, Inbox, JobChanged, JobWatch, Listening, Stop
from gateway.client.queue.ways import Clocks, Ways

# A gateway knows a key for a day; what is older than this might be a new one to it.
_KEY_AGE = 20 * 3600.0
# Before its time a key is where the clock has been put back: who knows by how much more.
_PUT_BACK = 3600.0
# A file that cannot be read may be half written: it is looked at again until it has been still for so many times as long as it has to be.
_HALF_WRITTEN = 10.0
# From so many jobs on, the list of all of mine is asked for in the place of each.
_EACH = 4
# Whoever draws how far it is has to hear of files that came meanwhile.
_WITH_COUNTS = frozenset({"check", "taken"})


class Queue:
    """Submits the job files of a folder, each once: iterate over it, and it runs; ``stop`` may be called from anywhere.

    It goes on where an earlier one ended, however that ended. Jobs that are in Slurm go on when it stops.
    Raises GatewayError where it cannot go on: nothing is lost, and the next one goes on.
    """

    def __init__(
        self, ways: Ways, folder: Path | str, options: Options | None = None, *, clocks: Clocks | None = None, inbox: Inbox | None = None
    ) -> None:
        self.folder = Path(folder)
        self.options = options or Options()
        self._ways = ways
        self._clocks = clocks or Clocks()
        self._inbox = inbox or Inbox()
        self._journal = Journal(self.folder)
        self._watches: list[JobWatch | FolderWatch] = []
        self._outcomes = Outcomes()
        self._stillness = Stillness(self.options.settle)
        self._changed: set[tuple[str, int]] = set()
        self._changed_told: set[tuple[str, int]] = set()
        self._notes: dict[str, tuple[str, ...]] = {}
        # The keys of this run.
        self._intended: set[str] = set()
        self._reached = False
        self._unreadable: dict[str, tuple[folders.Found, float]] = {}
        self._files: list[folders.Found] = []

    def stop(self) -> None:
        """Have it stop when what it is just doing is done."""
        self._inbox.put(Stop())

    @property
    def ledger(self) -> Ledger:
        """What is known of the files."""
        return self._journal.ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads and let go of the folder."""
        for watch in self._watches:
            watch.close()
        self._watches.clear()
        self._journal.close()

    def __iter__(self) -> Iterator[QueueEvent]:
        """Run to the end, and yield what happens."""
        seen = folders.look(self.folder, self._order)
        self._files = list(seen.files)
        with self._journal:
            try:
                yield from map(self._timed, self._run(seen))
            finally:
                self.close()

    def _run(self, seen: folders.Seen) -> Iterator[QueueEvent]:
        self._open()
        self._files = list(seen.files)
        yield self._started(seen)
        self._engine = Engine(self.ledger, self.options)
        self._watch()
        while True:
            for news in self._inbox.wait(0):
                self._heed(news)
            action = self._engine.next(self._clocks.now())
            yield from self._engine.told()
            if isinstance(action, Finish):
                break
            yield from self._carry_out(action)
            yield from self._engine.told()
        if self._engine.stopped:
            in_slurm = tuple(entry.job_id or 0 for entry in self.ledger.open_in(Status.IN_SLURM))
            maybe = tuple(entry.file for entry in self.ledger.open_in(Status.SENDING) if entry.key in self._engine.maybe_sent)
            yield QueueEvent(kind="stopped", jobs=in_slurm, files=maybe or None)
        yield QueueEvent(kind="finished", counts=counts(self.ledger, folders.look(self.folder, self._order).files))

    def _open(self) -> None:
        """Make sure that the queue is ours; raise GatewayError if somebody else's files are open in it."""
        now = records.Opened(url=self._ways.url, cluster=self._ways.cluster, username=self._ways.username, at=self._clocks.wall())
        owner = self.ledger.owner
        if owner is not None and replace(owner, at=now.at) != now and self.ledger.open:
            cluster = f", cluster {owner.cluster}," if owner.cluster else ""
            raise GatewayError(
                f"{owner.username} has files of this folder under way through {owner.url}{cluster}; you are {now.username} at {now.url}",
                hint=f"Go on as {owner.username} at {owner.url}{cluster} until they are at their end, or use another folder.",
                reason="queue_of_another",
            )
        if owner is None or replace(owner, at=now.at) != now:
            self._journal.write(now)

    def _watch(self) -> None:
        self._watches = [JobWatch(self._inbox, self._ways.sibling, self._ways.username), FolderWatch(self._inbox, self.folder)]
        for watch in self._watches:
            watch.start()

    def _heed(self, news: object) -> None:
        engine, now = self._engine, self._clocks.now()
        if isinstance(news, FolderChanged):
            engine.wake_folder(now)
        elif isinstance(news, JobChanged):
            engine.wake_job(news.job_id)
        elif isinstance(news, Listening):
            engine.events(now, flow=news.flow)
            engine.wake_all()
        elif isinstance(news, Stop):
            engine.stop()

    def _carry_out(self, action: object) -> Iterator[QueueEvent]:
        if isinstance(action, LookAtFolder):
            yield from self._look_at_folder()
        elif isinstance(action, LookAtJobs):
            self._look_at_jobs(action.job_ids)
        elif isinstance(action, Take):
            self._take(action)
        elif isinstance(action, Send):
            yield from self._send(action.entry)
        elif isinstance(action, Leave):
            self._leave(action.entry)
        elif isinstance(action, Sleep):
            for news in self._inbox.wait(action.seconds):
                self._heed(news)

    # The folder.

    @property
    def _order(self) -> folders.Key:
        return folders.ORDERS[self.options.order]

    def _look_at_folder(self) -> Iterator[QueueEvent]:
        self._journal.still_there()
        now = self._clocks.now()
        self._files = files = [found for found in folders.look(self.folder, self._order).files if not self._is_done(found)]
        still, again = self._stillness.still(files, wall=self._clocks.wall() + self._journal.skew, now=now)
        self._engine.saw_folder(now, still, again)
        yield from self._written_over()

    def _is_done(self, found: folders.Found) -> bool:
        """Tell whether a file is at its end or under way, and note whether it is another since then."""
        entry = self.ledger.entries.get(found.file)
        if entry is None or entry.status in {Status.SET_ASIDE, Status.UNKNOWN, Status.WITHDRAWN} or self._engine.may_retry(entry):
            return False
        if entry.status is not Status.LEAVING and (entry.size, entry.mtime_ns) != (found.size, found.mtime_ns):
            self._changed.add((found.file, found.mtime_ns))
        return True

    def _written_over(self) -> Iterator[QueueEvent]:
        """Tell of files that were written to after they had been submitted, once each."""
        for mark in sorted(self._changed - self._changed_told):
            self._changed_told.add(mark)
            yield QueueEvent(kind="changed", file=mark[0])

    def _take(self, action: Take) -> None:
        """Read a file and intend to send it; what cannot be read is set aside."""
        found = action.found
        try:
            content = folders.content(self.folder, found.file, self.options.largest)
            if content is None:
                self._engine.gone(found.file)
                return
            if not folders.is_same(self.folder, found):
                self._engine.not_yet(self._clocks.now(), found)
                return
            job = jobfile.read(content, found.file, directory=str(self.folder.absolute()))
        except JobFileError as error:
            if self._may_be_half_written(found) or not folders.is_same(self.folder, found):
                self._engine.not_yet(self._clocks.now(), found)
            else:
                self._set_aside(found.file, str(error), error.hint)
            return
        self._intend(found, action.attempt, job)

    def _may_be_half_written(self, found: folders.Found) -> bool:
        before, since = self._unreadable.get(found.file, (found, self._clocks.now()))
        if before != found:
            since = self._clocks.now()
        self._unreadable[found.file] = found, since
        # By whichever says more: a clock that was put back says for hours that the file is not written yet.
        age = max(self._clocks.wall() + self._journal.skew - found.ctime, self._clocks.now() - since)
        return found.regular and found.size <= self.options.largest and age < _HALF_WRITTEN * self.options.settle

    def _intend(self, found: folders.Found, attempt: int, job: jobfile.JobFile) -> None:
        self._journal.still_there()
        key = os.urandom(16).hex()
        self._journal.keep_body(key, job.body)
        intended = records.Intended(
            file=found.file,
            key=key,
            sha256=hashlib.sha256(job.body).hexdigest(),
            path=self._ways.submission_path,
            name=_name(job),
            attempt=attempt,
            size=found.size,
            mtime_ns=found.mtime_ns,
            at=self._clocks.wall(),
        )
        self._journal.write(intended)
        self._engine.took(found.file)
        self._intended.add(key)
        self._notes[key] = job.notes

    def _set_aside(self, file: str, reason: str, hint: str, *, unknown: bool = False) -> None:
        to = folders.place_aside(self.folder, file)
        self._journal.write(records.SettingAside(file=file, to=to, reason=reason, hint=hint, unknown=unknown, at=self._clocks.wall()))

    def _leave(self, entry: Entry) -> None:
        self._unreadable.pop(entry.file, None)
        to = entry.to or entry.file
        back = "Look whether there is such a job before you put it back." if entry.lost else "When it is corrected, put it back."
        self._journal.still_there()
        folders.put_aside(self.folder, entry.file, to, f"{entry.reason}\nhint: {entry.hint}\n{back}\n")
        self._journal.write(records.SetAside(file=entry.file, to=to, at=self._clocks.wall()))
        self._journal.drop_body(entry.key)
        self._files = [found for found in self._files if found.file != entry.file]
        self._engine.left(self.ledger.entries[entry.file])

    # Sending.

    def _send(self, entry: Entry) -> Iterator[QueueEvent]:
        """Send what is intended, for the first time or again; with the same key and the same bytes, to the same path, that is one submission."""
        # Of those of this run the path is theirs, even where the gateway has meanwhile told which version is the newest one.
        elsewhere = entry.path != self._ways.submission_path and entry.key not in self._intended
        if elsewhere or not -_PUT_BACK < self._clocks.wall() - entry.intended_at <= _KEY_AGE:
            self._begin_anew(entry)
            return
        body = self._journal.body(entry.key)
        if body is None or hashlib.sha256(body).hexdigest() != entry.sha256:
            self._look_for(entry, "what was to be sent is lost")
            return
        if not self._engine.tries(entry):
            yield QueueEvent(kind="submitting", file=entry.file, attempt=entry.attempt)
        try:
            answered = self._ways.submit(body, key=entry.key)
        except GatewayError as error:
            yield from self._not_sent(entry, error)
        else:
            self._reached = True
            self._submitted(entry, answered.job_id, notes=self._notes.pop(entry.key, ()), repaired=answered.repaired)

    def _submitted(self, entry: Entry, job_id: int, *, notes: tuple[str, ...], repaired: tuple[str, ...] = ()) -> None:
        before = self._entry_of(job_id)
        if before is not None:
            # A slurmctld that was killed may have lost the job with the state that it had not saved yet, and gives its number once more.
            self._ended(before, job_id, Outcome(over=True, state=UNKNOWN))
        self._journal.write(records.Submitted(file=entry.file, key=entry.key, job_id=job_id, at=self._clocks.wall()))
        self._journal.drop_body(entry.key)
        self._engine.submitted(self._clocks.now(), entry, job_id, notes=notes, repaired=repaired)

    def _not_sent(self, entry: Entry, error: GatewayError) -> Iterator[QueueEvent]:
        now, verdict = self._clocks.now(), judge(error, wordless=self._engine.wordless(entry), reached=self._reached)
        if verdict is Verdict.STOP:
            raise error
        if verdict in {Verdict.ALL_LATER, Verdict.THIS_LATER}:
            maybe_sent = not isinstance(error, SlurmRefusedError) and not (isinstance(error, UnreachableError) and not error.sent)
            self._engine.later(now, entry, error, everything=verdict is Verdict.ALL_LATER, maybe_sent=maybe_sent)
            return
        self._reached = True
        self._engine.answers(now)
        if verdict is Verdict.LIMIT and self._engine.limited(now, entry.file, others=self._has_others()):
            self._withdraw(entry, str(error))
            yield QueueEvent(kind="limited", file=entry.file, message=str(error), hint=error.hint)
        elif verdict is Verdict.UNKNOWN:
            self._look_for(entry, str(error))
        else:
            self._set_aside(entry.file, str(error), of_commands(error.hint))

    def _has_others(self) -> bool:
        """Tell whether the user may have jobs under way that are none of this queue's."""
        try:
            return any(not job.is_over and job.id not in self.ledger.job_ids for job in self._ways.jobs())
        except GatewayError:
            return True

    def _withdraw(self, entry: Entry, reason: str) -> None:
        self._journal.write(records.Withdrawn(file=entry.file, key=entry.key, reason=reason, at=self._clocks.wall()))
        self._journal.drop_body(entry.key)
        self._engine.withdrawn(self._clocks.now(), entry.file)

    def _begin_anew(self, entry: Entry) -> None:
        """Bring an intention to an end whose key may mean nothing to the gateway: it is too old, or belongs to another version's path."""
        if entry.key in self._engine.maybe_sent:
            self._look_for(entry, "whether it was submitted was not found out while its key could tell")
        else:
            self._withdraw(entry, "it was never sent")

    def _look_for(self, entry: Entry, why: str) -> None:
        """Look for the job of an intention that must not be sent again; where it is not found, a person has to decide."""
        now, wall = self._clocks.now(), self._clocks.wall()
        try:
            jobs, on_record = self._ways.jobs(), self._recorded(entry.intended_at)
        except GatewayError as error:
            if not is_passing(error, reached=self._reached):
                raise
            self._engine.later(now, entry, error, everything=True, maybe_sent=True)
            return
        self._engine.answers(now)
        found = choose(entry, sightings(jobs, on_record, self._ways.username), self.ledger.job_ids, wall)
        if found.job_id is not None:
            self._submitted(entry, found.job_id, notes=(f"found again among your jobs: {why}",))
            return
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.intended_at))
        hint = f"Look at your jobs from {at} on. If it is not among them, put the file back, and it is submitted."
        self._set_aside(entry.file, f"{why}; {found.why}", hint, unknown=True)

    def _recorded(self, since: float) -> Sequence[Mapping[str, Any]]:
        """Return what accounting has on record; where there is none, or none for us, that is nothing."""
        try:
            return self._ways.recorded(since)
        except SlurmRefusedError:
            return ()
        except (RefusedError, NotUnderstoodError) as error:
            if error.reason == "answer_too_large" or not (is_passing(error, reached=True) or error.reason in SIGN_IN_AGAIN | {STALE}):
                return ()
            raise

    # The jobs.

    def _look_at_jobs(self, job_ids: Sequence[int]) -> None:
        now = self._clocks.now()
        listed: list[Job] | None = None
        for job_id in job_ids:
            entry = self._entry_of(job_id)
            if entry is None:
                self._engine.saw_jobs(now, [job_id])
                continue
            try:
                if listed is None:
                    listed = self._ways.jobs() if len(job_ids) > _EACH else []
                parts, asked = belonging(job_id, listed) or self._ways.job(job_id), True
            except GatewayError as error:
                if is_forgotten(error):
                    parts, asked = [], not may_be_told_later(error)
                elif is_passing(error, reached=self._reached):
                    self._engine.jobs_later(self._clocks.now(), error)
                    return
                else:
                    raise
            self._reached = True
            self._engine.saw_jobs(now, [job_id])
            self._judge(entry, job_id, parts, asked=asked)

    def _entry_of(self, job_id: int) -> Entry | None:
        return next((entry for entry in self.ledger.open_in(Status.IN_SLURM) if entry.job_id == job_id), None)

    def _judge(self, entry: Entry, job_id: int, parts: Sequence[Job], *, asked: bool) -> None:
        # A Slurm that has lost its state, or another one, gives the number of ours to somebody else's.
        parts = [job for job in parts if job.user in {None, self._ways.username}]
        if not parts:
            if self._engine.is_given_up(self._clocks.now(), job_id, asked=asked):
                self._ended(entry, job_id, Outcome(over=True, state=UNKNOWN))
            return
        outcome = self._outcomes.of(job_id, parts)
        if outcome.over:
            self._ended(entry, job_id, outcome)
        elif all(job.accounted for job in parts):
            # It is told of the end some moments later; of what slurmctld has lost, never ('sacctmgr show runawayjobs').
            self._judge(entry, job_id, (), asked=False)
        else:
            self._engine.known(job_id, outcome.state)

    def _ended(self, entry: Entry, job_id: int, outcome: Outcome) -> None:
        state, code, reason = outcome.state, outcome.exit_code, outcome.reason
        self._journal.write(records.Ended(file=entry.file, job_id=job_id, state=state, exit_code=code, at=self._clocks.wall(), reason=reason))
        self._engine.ended(self._clocks.now(), self.ledger.entries[entry.file])

    # What is told.

    def _timed(self, event: QueueEvent) -> QueueEvent:
        told = counts(self.ledger, self._files) if event.kind in _WITH_COUNTS else event.counts
        return replace(event, at=self._clocks.wall(), counts=told)

    def _started(self, seen: folders.Seen) -> QueueEvent:
        return QueueEvent(kind="started", username=self._ways.username, files=seen.others or None, counts=counts(self.ledger, seen.files))


def counts(ledger: Ledger, files: Sequence[folders.Found]) -> dict[str, int]:
    """Return how many files are where; ``waiting`` are those that were not taken yet."""
    told = Counter(entry.status.value for entry in ledger.entries.values())
    told.update(entry.status.value for entry in ledger.unsettled)
    waiting = sum(found.file not in ledger.entries or ledger.entries[found.file].status in FREE for found in files)
    names = [status.value for status in (Status.COMPLETED, Status.FAILED, Status.SET_ASIDE, Status.UNKNOWN, Status.IN_SLURM, Status.SENDING)]
    return {"waiting": waiting, **{name: told[name] for name in names}}


def _name(job: jobfile.JobFile) -> str | None:
    """Return the job's name, by which it would be looked for."""
    if job.name is not None:
        return job.name
    try:
        tree = json.loads(job.body)
    except ValueError:
        return None
    inner = tree.get("job") if isinstance(tree, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else None
