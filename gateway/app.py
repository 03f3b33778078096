"""The composition root: a configuration in, the running application out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import Self, TypeVar

import structlog

from gateway.config import Cluster, Config, SecretFileError
from gateway.errors import Refusal, SignInBusy
from gateway.observe.audit import AuditTrail, audit_key_file, load_audit_key
from gateway.observe.audit.folding import Folding
from gateway.observe.audit.keeping import HeadKeeping
from gateway.observe.health import Health
from gateway.observe.metrics import Metrics
from gateway.policy.rules import Rules
from gateway.proxy.feed import Feeds
from gateway.proxy.forward import Upstream
from gateway.proxy.recency import Recency
from gateway.proxy.workshop import Workshop
from gateway.sessions.accounts import Accounts
from gateway.sessions.sessions import Sessions
from gateway.sessions.standby import Standby
from gateway.signin.directory import LdapDirectory
from gateway.signin.enrolment import Enrolment
from gateway.signin.factor.configured import second_factor
from gateway.signin.gate import Gate
from gateway.signin.login import Login
from gateway.signin.munge import Munge
from gateway.signin.turns import Turns
from gateway.slurm.keys import load_signing_key
from gateway.slurm.minting import Minter
from gateway.slurm.names import NameRules
from gateway.store.accounts import AccountStore
from gateway.store.attempts import AttemptStore
from gateway.store.audit_heads import AuditHeadStore
from gateway.store.authenticators import AuthenticatorStore
from gateway.store.engine import open_database
from gateway.store.known import KnownAddressStore
from gateway.store.sealing import KeyRingFile
from gateway.store.sessions import SessionStore
from gateway.store.spent import SpentStore
from gateway.store.submissions import SubmissionStore
from gateway.store.tickets import TicketStore
from gateway.web.admin import AdminHandler
from gateway.web.auth import AuthHandlers
from gateway.web.authority import Authority
from gateway.web.call import ClusterAccess
from gateway.web.carrying import Carrier
from gateway.web.company import Company
from gateway.web.cors import Cors
from gateway.web.doorman import Doorman
from gateway.web.enrolment import EnrolmentHandlers, Proofs
from gateway.web.events import EventsHandler
from gateway.web.eyes import Sight
from gateway.web.front import FrontDoor
from gateway.web.keyed import Keyed
from gateway.web.mending import Mending
from gateway.web.proxied import ProxiedHandler
from gateway.web.reads import Reads
from gateway.web.sessions import SessionHandlers
from gateway.web.slurm import SlurmHandler
from gateway.web.submitting import Submitting
from gateway.web.tokens import TokenHandlers
from gateway.web.uploads import Uploads
from gateway.web.verify import VerifyHandler
from gateway.web.versions import Versions
from gateway.web.waits import Waits

logger = structlog.get_logger()
_T = TypeVar("_T")
# Seconds after which a worker writes down anew how its connections are used.
_MEASURE = 2.0


class Application:
    """Everything one worker needs, wired together; made on the loop that will serve it. Raises SecretFileError, AuditUnavailable."""

    def __init__(self, config: Config, recency: Recency | None = None) -> None:
        self._config = config
        self._measuring: asyncio.TimerHandle | None = None
        self._reloads: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        names = NameRules.of(config.slurm.slurm_user, config.slurm.reserved_users, config.slurm.minimum_uid)
        self._database = open_database(config.store)
        key = load_audit_key(audit_key_file(config.audit, config.store)) if config.audit.file is not None else None
        self._audit = AuditTrail(config.audit.file, key)
        self._heads = HeadKeeping(self._audit, AuditHeadStore(self._database), config.audit.head_interval)
        self._directory = LdapDirectory(config.directory)
        self._seal = KeyRingFile(config.store.key_ring_file)
        factor = second_factor(config, AuthenticatorStore(self._database), SpentStore(self._database), self._seal)
        loop = asyncio.get_running_loop()
        self._metrics = Metrics()
        self._clusters = {
            name: ClusterAccess(
                upstream=self._upstream(name, cluster, loop), minter=Minter(load_signing_key(cluster), names, config.slurm.token_lifetime)
            )
            for name, cluster in config.clusters.items()
        }
        self._workshop = Workshop(config.views)
        gate = Gate(AttemptStore(self._database), KnownAddressStore(self._database), config.throttle)
        turns = Turns(config.throttle.at_once, config.throttle.patience, lambda: SignInBusy("too many sign-ins at once"))
        login = Login(directory=self._directory, factor=factor, gate=gate, names=names, turns=turns)
        sessions = self._sessions = self._know_sessions(login, gate)
        doorman = Doorman(login=login, sessions=sessions, audit=self._audit, metrics=self._metrics, one_shot_lifetime=config.slurm.token_lifetime)
        self.front = FrontDoor(
            own=(
                AuthHandlers(doorman=doorman, sessions=sessions, audit=self._audit, settings=config.server).routes(),
                SessionHandlers(doorman=doorman, login=login, sessions=sessions, audit=self._audit, settings=config.server).routes(),
                TokenHandlers(doorman=doorman, sessions=sessions, audit=self._audit, server=config.server, settings=config.tokens).routes(),
                self._enrol(doorman, login, gate).routes(),
                VerifyHandler(doorman=doorman, minter=self._clusters[config.slurm.default_cluster].minter).routes() if config.server.verify else {},
            ),
            proxied=self._slurm(doorman, recency or Recency()),
            audit=self._audit,
            metrics=self._metrics,
            settings=config.server,
            log_reads=config.log.reads,
            refusal_time=config.throttle.refusal_time,
            folding=Folding(config.audit.refusals_a_minute),
            cors=Cors(config.cors),
        )
        self.admin = AdminHandler(health=self._health(), metrics=self._metrics, refresh=self._measure)

    def _slurm(self, doorman: Doorman, recency: Recency) -> SlurmHandler:
        """Wire what carries Slurm's calls, and what tells of Slurm's jobs."""
        config = self._config
        carrier = Carrier(config.server)
        self._submitting = Submitting(SubmissionStore(self._database), config.submissions, token_lifetime=config.slurm.token_lifetime)
        reads = self._reads = Reads(
            settings=config.reads,
            views=config.views,
            workshop=self._workshop,
            carrier=carrier,
            shared_paths={name: cluster.shared for name, cluster in config.clusters.items()},
            recency=recency,
            metrics=self._metrics,
        )
        authority, uploads = Authority(Rules.of(config.policy)), Uploads(config.server)
        company = self._company = self._accompany(doorman, authority, carrier)
        versions = self._versions = Versions(enabled=config.slurm.versions)
        proxied = ProxiedHandler(
            doorman=doorman,
            authority=authority,
            versions=versions,
            clusters=self._clusters,
            default_cluster=config.slurm.default_cluster,
            uploads=uploads,
            mending=Mending(self._workshop, enabled=config.slurm.repair),
            carrier=carrier,
            reads=Waits(longest=config.events.max_wait, company=company, reads=reads, recency=recency),
            recency=recency,
            keyed=Keyed(self._submitting, carrier, self._workshop, config.submissions),
        )
        events = EventsHandler(
            doorman=doorman,
            authority=authority,
            default_cluster=config.slurm.default_cluster,
            uploads=uploads,
            company=company,
            metrics=self._metrics,
            server=config.server,
            heartbeat=config.events.heartbeat,
        )
        return SlurmHandler(proxied=proxied, events=events)

    def _accompany(self, doorman: Doorman, authority: Authority, carrier: Carrier) -> Company:
        """Wire what looks at the jobs while somebody listens."""
        config, reads = self._config, self._reads
        return Company(
            settings=config.events,
            doorman=doorman,
            authority=authority,
            sights={
                name: Sight(cluster=name, access=access, reads=reads, carrier=carrier, workshop=self._workshop, views=config.views)
                for name, access in self._clusters.items()
            },
            reads=reads,
            feeds=Feeds(config.events, stamp=partial(secrets.token_hex, 8)),
            metrics=self._metrics,
        )

    def _enrol(self, doorman: Doorman, login: Login, gate: Gate) -> EnrolmentHandlers:
        """Wire what gives people a second factor of their own."""
        config = self._config
        proofs = Proofs(
            login=login,
            gate=gate,
            directory=self._directory,
            munge=Munge(SpentStore(self._database), socket=config.enrolment.munge_socket, age=config.enrolment.munge_age),
            tickets=TicketStore(self._database),
        )
        return EnrolmentHandlers(
            doorman=doorman,
            proofs=proofs,
            enrolment=Enrolment(AuthenticatorStore(self._database), self._seal, gate, settings=config.enrolment, totp=config.totp),
            rows=SessionStore(self._database),
            sessions=self._sessions,
            audit=self._audit,
            config=config,
        )

    def _know_sessions(self, login: Login, gate: Gate) -> Sessions:
        """Wire what knows tokens, and the accounts behind them."""
        rows = SessionStore(self._database)
        accounts = Accounts(
            directory=self._directory,
            rows=AccountStore(self._database),
            sessions=rows,
            audit=self._audit,
            barred=login.barred,
            settings=self._config.directory,
        )
        # On SQLite the store is a file of this machine, and does not go away while the gateway stays.
        standby = None if self._database.is_sqlite else Standby(rows)
        return Sessions(rows, accounts, gate, self._config.sessions, grace=self._config.store.grace, standby=standby)

    def start_reload(self) -> None:
        """Reload in the background; a reload under way goes on, and is followed by this one."""
        task = asyncio.create_task(self.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def reload(self) -> None:
        """Read the keys anew and open the audit file anew; what cannot be read leaves the old one in use, and is logged."""
        async with self._reloading:
            for name, access in self._clusters.items():
                await self._replace(f"clusters.{name}", partial(load_signing_key, self._config.clusters[name]), access.minter.replace_key)
            await self._refresh_ring()
            await self._replace("audit.file", self._audit.reopen, lambda _: None)
        logger.info("reloaded")

    async def _refresh_ring(self) -> None:
        try:
            await self._seal.refresh()
        except SecretFileError as error:
            logger.error("reload_failed", what="store.key_ring_file", cause=str(error))

    def end_streams(self) -> None:
        """End what would last, so that the requests under way come to their end."""
        self._company.stop()

    async def close(self) -> None:
        """Close what is open; requests are over by now."""
        self.end_streams()
        await self.front.close()
        if self._measuring is not None:
            self._measuring.cancel()
        self._company.close()
        self._versions.close()
        self._reads.close()
        await self._workshop.close()
        await self._submitting.close()
        for access in self._clusters.values():
            access.upstream.pool.close()
        await self._sessions.close()
        self._directory.close()
        await self._heads.stop()
        await self._database.close()
        await asyncio.to_thread(self._audit.close)

    async def __aenter__(self) -> Self:
        self._heads.start()
        self._sessions.start()
        self._keep_measuring(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _replace(self, what: str, read: Callable[[], _T], use: Callable[[_T], None]) -> None:
        """Read on a thread, for a file may be slow to come, and use on the loop what was read."""
        try:
            use(await asyncio.to_thread(read))
        except (SecretFileError, Refusal) as error:
            logger.error("reload_failed", what=what, cause=str(error))

    def _health(self) -> Health:
        probes = {"store": self._database.ping, "directory": self._directory.ping, "audit": self._audit.require}
        for name, access in self._clusters.items():
            single = len(self._clusters) == 1
            probes["slurmrestd" if single else f"slurmrestd.{name}"] = access.upstream.ping
        return Health(probes)

    def _upstream(self, name: str, cluster: Cluster, loop: asyncio.AbstractEventLoop) -> Upstream:
        config, refused = self._config, self._metrics.upstream_refused
        return Upstream(
            cluster,
            loop,
            fairness=config.fairness,
            workers=config.server.workers,
            cluster=name,
            refused=lambda reason: refused.labels(name, reason).inc(),
        )

    def _measure(self) -> None:
        self._metrics.under_way.set(self.front.under_way)
        self._metrics.kept_bytes.set(self._reads.shared.used)
        for name, access in self._clusters.items():
            pool = access.upstream.pool
            self._metrics.upstream_taken.labels(name).set(pool.taken)
            self._metrics.upstream_waiting.labels(name).set(pool.waiting)
            self._metrics.upstream_held_back.labels(name).set(pool.held_back)
            for endpoint in access.upstream.endpoints:
                self._metrics.endpoint(name, endpoint.number, taken=endpoint.taken, state=endpoint.breaker.state.value, ailing=endpoint.ailing)

    def _keep_measuring(self, loop: asyncio.AbstractEventLoop) -> None:
        """Measure now and again: with several workers, the one that is asked tells what the others have written down."""
        self._measure()
        self._measuring = loop.call_later(_MEASURE, self._keep_measuring, loop)
