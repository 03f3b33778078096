"""What a queue does next: its ledger, what it has seen and the time go in, one action comes out (pure)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.client.errors import GatewayError
from gateway.client.queue.folder import Found
from gateway.client.queue.judging import says_nothing
from gateway.client.queue.ledger import FREE, UNKNOWN, Entry, Ledger, Status
from gateway.client.queue.plan import Action, Finish, Leave, LookAtFolder, LookAtJobs, Options, Send, Sleep, Take
from gateway.client.queue.telling import QueueEvent

# Seconds: between two tries, between two looks where there are no events, and after which a job that nobody knows is given up.
_FIRST, _LONGEST = 1.0, 30.0
_ASK_AT_MOST = 300.0
_FORGOTTEN, _NOT_ASKED = 60.0, 900.0
# So often a limit of Slurm's is waited for with no job of ours in it.
_LIMITED = 3
_REPEAT = 60.0
# So many of the files that were taken are told each time: to tell all each time is to tell gigabytes of tens of thousands.
_TOLD = 100
# What somebody has cancelled, what may have ended well, and what runs on another cluster of a federation.
_NOT_AGAIN = frozenset({"CANCELLED", UNKNOWN, "REVOKED"})


@dataclass(slots=True)
class _Later:
    at: float = 0.0
    pause: float = _FIRST
    tries: int = 0
    wordless: int = 0


class Engine:
    """Decides; whoever carries an action out writes what it did into the ledger, and tells the outcome here. ``now`` is seconds of any one clock."""

    def __init__(self, ledger: Ledger, options: Options) -> None:
        self._ledger = ledger
        self._options = options
        self._told: list[QueueEvent] = []
        self._last = ""
        self._found: list[Found] = []
        self._folder_due = 0.0
        self._moving = False
        self._looked = False
        self._routine_due = 0.0
        self._woken: set[int] = set()
        self._jobs = _Later()
        self._sending: dict[str, _Later] = {}
        self._limits: dict[str, int] = {}
        self._poll: float | None = _FIRST
        self._poll_due = 0.0
        self._checked = False
        self._report = False
        self._idle = False
        self._down = False
        self._trouble: tuple[str, float] | None = None
        self._hold = 0.0
        self._forgotten: dict[int, float] = {}
        self._states: dict[int, str] = {}
        self._stopping = False
        self.halted = False
        # What may have left: with a killed queue's intentions nobody knows.
        self.maybe_sent = {entry.key for entry in ledger.open_in(Status.SENDING)}

    def told(self) -> list[QueueEvent]:
        """Return what there is to tell since the last time."""
        told, self._told = self._told, []
        return told

    def next(self, now: float) -> Action:
        """Return what to do now."""
        leaving = self._ledger.open_in(Status.LEAVING)
        if leaving:
            return Leave(entry=leaving[0])
        if self._stopping:
            return Finish()
        entry = self._to_send(now)
        if entry is not None:
            return Send(entry=entry)
        self._begin_what_is_due(now)
        if self._woken and now >= self._jobs.at:
            return LookAtJobs(job_ids=tuple(sorted(self._woken)))
        if now >= self._folder_due:
            return LookAtFolder()
        self._report_progress()
        return self._take(now) or self._end(now)

    def tries(self, entry: Entry) -> int:
        """Return how often an intention was sent in vain by this queue."""
        return self._sending.get(entry.file, _Later()).tries

    def wordless(self, entry: Entry) -> int:
        """Return how often in a row the last word on an intention was one that says nothing."""
        return self._sending.get(entry.file, _Later()).wordless

    # What is due.

    def _to_send(self, now: float) -> Entry | None:
        for entry in self._ledger.open_in(Status.SENDING):
            if now >= self._sending.get(entry.file, _Later()).at:
                return entry
        return None

    def _begin_what_is_due(self, now: float) -> None:
        in_slurm = self._ledger.open_in(Status.IN_SLURM)
        if in_slurm and self._poll is not None and now >= self._poll_due:
            self._poll_due = now + self._poll
            self._poll = min(1.5 * self._poll, _LONGEST)
            self._look_at(entry.job_id for entry in in_slurm)
        if now >= self._routine_due:
            self._routine_due = now + self._options.interval
            if self._idle and not self._ledger.open:
                return
            self._check()
            self._report = True
            self._folder_due = min(self._folder_due, now)
            self._look_at(entry.job_id for entry in in_slurm)

    def _look_at(self, job_ids: Iterable[int | None]) -> None:
        self._woken.update(job_id for job_id in job_ids if job_id is not None)

    def _report_progress(self) -> None:
        if self._report and not self._woken:
            self._report = False
            for entry in self._ledger.open_in(Status.IN_SLURM):
                self._tell(QueueEvent(kind="in_progress", file=entry.file, job_id=entry.job_id, state=self._states.get(entry.job_id or 0)))

    def _check(self) -> None:
        self._checked = True
        self._tell(QueueEvent(kind="check"))

    def _check_if_news(self) -> None:
        """Tell that it looks, unless it has told so since the last change, or has told nothing else since."""
        if not self._checked and self._last != "check":
            self._check()
        self._checked = True

    def _take(self, now: float) -> Take | None:
        if self.halted or self._down or now < self._hold or self._ledger.in_flight >= self._options.in_flight:
            return None
        while self._found:
            found = self._found[0]
            if self._is_wanted(found.file):
                self._check_if_news()
                self._idle = False
                return Take(found=found, attempt=self._attempt(found.file))
            self._found.pop(0)
        return None

    def _end(self, now: float) -> Action:
        if self._ledger.open or (not self.halted and (self._found or self._moving)):
            return Sleep(seconds=self._until(now))
        if not self._looked:
            return LookAtFolder()
        if not self._idle and not self.halted:
            self._check_if_news()
            self._tell(QueueEvent(kind="empty"))
        self._idle = True
        return Sleep(seconds=self._until(now)) if self._options.follow and not self.halted else Finish()

    def _until(self, now: float) -> float:
        due = [self._routine_due, self._folder_due]
        if now < self._hold:
            due.append(self._hold)
        if self._woken:
            due.append(self._jobs.at)
        if self._poll is not None and self._ledger.open_in(Status.IN_SLURM):
            due.append(self._poll_due)
        due += [self._sending.get(entry.file, _Later()).at for entry in self._ledger.open_in(Status.SENDING)]
        return max(0.0, min(due) - now)

    def _is_wanted(self, file: str) -> bool:
        entry = self._ledger.entries.get(file)
        return entry is None or entry.status in FREE or self.may_retry(entry)

    def may_retry(self, entry: Entry) -> bool:
        """Tell whether the file of a job that failed is submitted again: not where it may have ended well, or somebody wanted it to end."""
        return entry.status is Status.FAILED and entry.state not in _NOT_AGAIN and entry.attempt <= self._options.on_failure.retries

    def _attempt(self, file: str) -> int:
        entry = self._ledger.entries.get(file)
        return entry.attempt + 1 if entry is not None and entry.status is Status.FAILED else 1

    def _tell(self, event: QueueEvent) -> None:
        self._last = event.kind
        self._told.append(event)

    # What has come of it.

    def saw_folder(self, now: float, still: Sequence[Found], again: float | None) -> None:
        """Note that the files in ``still`` are there; others are being written, so look again after ``again`` seconds."""
        wanted = [found for found in still if self._is_wanted(found.file)]
        if wanted and not self._found:
            self._checked = self._checked and self._report  # there is something new to tell of
        self._found = wanted
        self._moving = again is not None
        self._looked = True
        self._folder_due = now + min(self._options.poll, again if again is not None else self._options.poll)

    def not_yet(self, now: float, found: Found) -> None:
        """Note that a file cannot be read as it is, but may be half written: it is looked at again soon."""
        self.gone(found.file)
        self._moving = True
        self._folder_due = now + _FIRST

    def gone(self, file: str) -> None:
        """Note that a file is not there any more, or was set aside."""
        self._found = [found for found in self._found if found.file != file]
        self._looked = False

    def took(self, file: str) -> None:
        """Note that a file is intended."""
        self._found = [found for found in self._found if found.file != file]
        self._sending.pop(file, None)

    def submitted(self, now: float, entry: Entry, job_id: int, *, notes: tuple[str, ...] = (), repaired: tuple[str, ...] = ()) -> None:
        """Note that Slurm has the job."""
        self.answers(now)
        self.maybe_sent.discard(entry.key)
        self._sending.pop(entry.file, None)
        self._limits.pop(entry.file, None)
        self._tell(QueueEvent(kind="submitted", file=entry.file, job_id=job_id, notes=notes or None, repaired=repaired or None))
        self._tell(QueueEvent(kind="taken", files=self._ledger.last_taken(_TOLD), total=len(self._ledger.taken)))
        self._poll_soon(now)

    def later(self, now: float, entry: Entry, error: GatewayError, *, everything: bool, maybe_sent: bool) -> None:
        """Note that a file was not submitted; it is sent again later."""
        if maybe_sent:
            self.maybe_sent.add(entry.key)
        later = self._sending.setdefault(entry.file, _Later())
        later.wordless = later.wordless + 1 if says_nothing(error) else 0
        self._postpone(now, later, error)
        self._down = self._down or everything

    def limited(self, now: float, file: str, *, others: bool) -> bool:
        """Note that Slurm takes no more jobs of this user; return whether to wait for that to change, which it does when one of theirs ends.

        ``others``: there are some that are not ours. Where there are none at all, it is the job itself that is more than somebody may have.
        """
        if self._ledger.open_in(Status.IN_SLURM):
            self._hold = math.inf
            return True
        tries = self._limits[file] = self._limits.get(file, 0) + 1
        self._hold = now + (min(tries * _LONGEST, _ASK_AT_MOST) if others else _LONGEST)
        return others or tries < _LIMITED

    def withdrawn(self, now: float, file: str) -> None:
        """Note that a file has certainly made no job, and may be taken anew."""
        self._sending.pop(file, None)
        self._folder_due = now
        self._looked = False
        self._down = False  # else nobody would find out any more

    def saw_jobs(self, now: float, job_ids: Iterable[int]) -> None:
        """Note that these jobs were looked at."""
        self._woken.difference_update(job_ids)
        self.answers(now)

    def jobs_later(self, now: float, error: GatewayError) -> None:
        """Note that jobs could not be looked at."""
        self._postpone(now, self._jobs, error)
        self._down = True

    def known(self, job_id: int, state: str) -> None:
        """Note that a job is in Slurm."""
        self._forgotten.pop(job_id, None)
        self._states[job_id] = state

    def is_given_up(self, now: float, job_id: int, *, asked: bool) -> bool:
        """Tell whether a job that nobody knows has been so for long enough; for longer, where accounting could not be ``asked``."""
        return now - self._forgotten.setdefault(job_id, now) >= (_FORGOTTEN if asked else _NOT_ASKED)

    def ended(self, now: float, entry: Entry) -> None:
        """Note that a job has ended as the ledger says."""
        self._states.pop(entry.job_id or 0, None)
        code, why = entry.exit_code, entry.reason
        self._tell(QueueEvent(kind="ended", file=entry.file, job_id=entry.job_id, state=entry.state, exit_code=code, reason=why))
        self._hold = 0.0
        self._looked = False
        self._checked = self._report
        self._poll_soon(now)
        if entry.status is Status.FAILED:
            self._failed(now, entry)

    def _failed(self, now: float, entry: Entry) -> None:
        if self.may_retry(entry):
            self._folder_due = now
            self._tell(QueueEvent(kind="retrying", file=entry.file, attempt=entry.attempt + 1))
        elif self._options.on_failure.stop and not self.halted:
            self.halted = True
            self._tell(QueueEvent(kind="halted", file=entry.file, job_id=entry.job_id))

    def left(self, entry: Entry) -> None:
        """Note that a file was set aside."""
        self.gone(entry.file)
        self._sending.pop(entry.file, None)
        self._limits.pop(entry.file, None)
        self.maybe_sent.discard(entry.key)
        self._tell(
            QueueEvent(
                kind="set_aside",
                file=entry.file,
                to=entry.to,
                reason="unknown" if entry.lost else "refused",
                message=entry.reason,
                hint=entry.hint,
            )
        )
        if entry.lost and self._options.on_failure.stop and not self.halted:
            self.halted = True
            self._tell(QueueEvent(kind="halted", file=entry.file))

    # Who wakes it.

    def wake_folder(self, now: float) -> None:
        """Something has happened in the folder."""
        self._folder_due = now

    def wake_job(self, job_id: int) -> None:
        """Note that a job has ended, or is gone."""
        if any(entry.job_id == job_id for entry in self._ledger.open_in(Status.IN_SLURM)):
            self._woken.add(job_id)

    def wake_all(self) -> None:
        """Anything may have happened to the jobs."""
        self._look_at(entry.job_id for entry in self._ledger.open_in(Status.IN_SLURM))

    def events(self, now: float, *, flow: bool) -> None:
        """News of jobs come by themselves, or do not any more."""
        self._poll = None if flow else _FIRST
        self._poll_due = now + _FIRST

    def stop(self) -> None:
        """Do not begin anything more."""
        self._stopping = True

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping

    def _poll_soon(self, now: float) -> None:
        if self._poll is not None:
            self._poll = _FIRST
            self._poll_due = now + _FIRST if self._poll_due < now else min(self._poll_due, now + _FIRST)

    def answers(self, now: float) -> None:
        """Note that the gateway answers: nothing has to wait any more for that."""
        self._jobs = _Later()
        if self._down:
            self._down = False
            for later in self._sending.values():
                later.at = min(later.at, now)
        if self._trouble is not None:
            self._trouble = None
            self._tell(QueueEvent(kind="recovered"))

    def _postpone(self, now: float, later: _Later, error: GatewayError) -> None:
        seconds = min(max(later.pause, error.retry_after or 0.0), _ASK_AT_MOST)
        later.at = now + seconds
        later.tries += 1
        later.pause = min(2 * later.pause, _LONGEST)
        if self._trouble is None or self._trouble[0] != error.reason or now - self._trouble[1] >= _REPEAT:
            self._trouble = (error.reason, now)
            self._tell(QueueEvent(kind="waiting", reason=error.reason, message=str(error), hint=error.hint, seconds=seconds))
