"""What can be configured: frozen values, each with its default and the sentence that the reference prints for it."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from gateway.config.patterns import PathPattern
from gateway.config.values import AbsolutePath, Duration, Endpoint, Listen, Networks, Size, Upstream


class Section(BaseModel):
    """A table of the file: strict types, no unknown keys, nothing of the input repeated in errors."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True, allow_inf_nan=False)


class Server(Section):
    """The gateway's own listeners, workers and limits."""

    listen: Listen = Field(description="where nginx reaches the gateway: `unix:/path` or `host:port`")
    admin_listen: Listen | None = Field(None, description="where `/health/*` and `/metrics` are served; keep it off the public network")
    workers: int = Field(1, ge=1, le=64, description="processes that serve requests")
    socket_mode: str = Field("0660", pattern=r"^0[0-7]{2}0$", description="mode of the unix socket; its group is that of a setgid directory")
    trusted_proxies: tuple[Networks, ...] = Field(
        (), strict=False, description="peers on a TCP listener whose X-Forwarded-For and X-Request-ID are believed; a unix socket's peer always is"
    )
    max_body: Size = Field(50 * 1024**2, description="largest request body that is carried to slurmrestd, which itself takes 50 MiB")
    max_chunked: int = Field(4, ge=1, le=1000, description="chunked bodies a worker collects at once, each up to `max_body`; more wait, then get 503")
    max_header: Size = Field(16 * 1024, description="largest header field or request line")
    keepalive_timeout: Duration = Field(120.0, description="idle time after which a client's connection is closed; longer than nginx's own")
    body_timeout: Duration = Field(
        30.0, description="longest silence while a request body arrives, and longest time for the client to take 256 KiB of its answer"
    )
    stop_timeout: Duration = Field(30.0, description="how long requests under way may finish after SIGTERM")
    verify: bool = Field(False, description="serve `GET /auth/verify`, which gives a trusted server in front a Slurm JWT for a session")


_SQLITE = re.compile(r"sqlite:////[^\0?#]{1,1000}")
_HOST = r"[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]"
_POSTGRESQL = re.compile(
    rf"postgresql://[A-Za-z0-9_.-]{{1,63}}@(?:(?:{_HOST})(?::[0-9]{{1,5}})?/[A-Za-z0-9_.-]{{1,63}}"
    r"|/[A-Za-z0-9_.-]{1,63}\?host=/[A-Za-z0-9_./-]{1,90}(?:&port=[0-9]{1,5})?)"
)


def _store_url(url: str) -> str:
    if _SQLITE.fullmatch(url) is None and _POSTGRESQL.fullmatch(url) is None:
        raise ValueError(
            "must be sqlite:////absolute/path/of/gateway.db, postgresql://user@host[:port]/database or postgresql://user@/database?host=/socket/folder"
        )
    return url


class Store(Section):
    """Where sessions, second factors and throttle counters are kept."""

    url: Annotated[str, AfterValidator(_store_url)] = Field(
        description="`sqlite:////absolute/path` (the folder must be writable for the gateway's user), or, for several nodes, "
        "`postgresql://user@host[:port]/database` or `postgresql://user@/database?host=/socket/folder`"
    )
    password_file: AbsolutePath | None = Field(None, description="PostgreSQL: file that holds the user's password")
    ca_file: AbsolutePath | None = Field(
        None, description="PostgreSQL: CA that its certificate must chain to, the system's without it; TLS is required but on loopback and sockets"
    )
    key_ring_file: AbsolutePath = Field(description="keys that seal the TOTP secrets, newest first; made by `slurm-gateway keys init`")
    busy_timeout: Duration = Field(5.0, description="how long a statement waits for another writer or for PostgreSQL before the answer is 503")
    grace: Duration = Field(60.0, description="how long sessions that were in use go on while the store does not answer")


_LDAP_URL = re.compile(r"(ldaps?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(?::([0-9]{1,5}))?)/?")


def _ldap_url(url: str) -> str:
    """Take one spelling only: what decides whether passwords travel in the clear must not hang on capitals or blanks."""
    match = _LDAP_URL.fullmatch(url)
    if match is None or not 0 < int(match[2] or 389) < 2**16:
        raise ValueError("must be ldaps://host[:port] or ldap://host[:port], in lower case")
    return match[1]


def _some(urls: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse an empty list; as min_length this would be said a second time of a list whose only entry is wrong."""
    if not urls:
        raise ValueError("names no server")
    return urls


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


_DN = Annotated[str, Field(pattern=r"^[A-Za-z0-9.]+=[^\x00]{1,1000}$")]
GroupName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def _some_kind(kinds: tuple[str, ...]) -> tuple[str, ...]:
    if not kinds or len(set(kinds)) != len(kinds):
        raise ValueError("names no second factor, or one twice")
    if "radius" in kinds[:-1]:
        # An authenticator kept here would be asked for nothing, but its recovery codes would go past the server.
        raise ValueError("names one after radius, which has everybody: what stands behind it is never asked")
    return kinds


# What another default is for Active Directory, whose sAMAccountName computers and groups have as well.
_ACTIVE_DIRECTORY = {
    "login_attribute": "sAMAccountName",
    "name_attribute": "sAMAccountName",
    "user_filter": "(&(objectCategory=person)(objectClass=user))",
}


class Directory(Section):
    """LDAP: a service account finds the person, the person's own bind proves the password."""

    kind: Literal["ldap", "active_directory"] = Field(
        "ldap",
        description="`active_directory` means people (`user_filter`) and names (`login_attribute`, `name_attribute`) by sAMAccountName, "
        "nested groups followed, and its own flags read",
    )

    urls: Annotated[tuple[Annotated[str, AfterValidator(_ldap_url)], ...], AfterValidator(_some)] = Field(
        strict=False, description="servers, tried in this order"
    )
    start_tls: bool = Field(False, description="StartTLS on `ldap://` connections")
    allow_plaintext: bool = Field(False, description="permit `ldap://` without StartTLS, on loopback only")
    ca_file: AbsolutePath | None = Field(None, description="CA certificates that the servers' certificates must chain to; the system's without it")
    bind_dn: str = Field("", description="the service account that searches; empty searches anonymously")
    bind_password_file: AbsolutePath | None = Field(None, description="file that holds the service account's password")
    user_base: str = Field(min_length=1, description="where people are searched for, with the whole subtree")
    user_filter: str = Field("(objectClass=*)", pattern=r"^\(.*\)$", description="a filter that people must match besides their name")
    login_attribute: str = Field("uid", pattern=r"^[A-Za-z][A-Za-z0-9-]*$", description="the attribute that the typed name is compared with")
    name_attribute: str = Field(
        "uid", pattern=r"^[A-Za-z][A-Za-z0-9-]*$", description="the attribute whose value is the Slurm user, in its own spelling"
    )
    uid_attribute: str = Field("uidNumber", pattern=r"^[A-Za-z][A-Za-z0-9-]*$", description="the attribute that holds the numeric uid")
    domains: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,253}$")], ...] = Field(
        (),
        strict=False,
        description="domains (DNS and NetBIOS names, any case) whose `user@domain` and `DOMAIN\\user` are taken for `user`; "
        "any other domain is refused",
    )
    required_group: str | None = Field(None, description="DN of the group that a person must be in; none lets everyone in who has both factors")
    group_member_attribute: str = Field(
        "member",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        description="how the group names members: `member`, `uniqueMember` (a DN) or `memberUid` (a name)",
    )
    groups: dict[GroupName, _DN] = Field(
        default_factory=dict, description='more groups, by the names that the policy\'s rules call them: `name = "DN"`'
    )
    nested_groups: bool = Field(False, description="groups within groups count too, ten levels deep; always with `active_directory`")
    group_base: str | None = Field(None, description="where nested groups are searched for; `user_base` without it")
    recheck: Duration = Field(300.0, description="while a session is used, its account and groups are looked at again after this time")
    recheck_grace: Duration = Field(1800.0, description="how long the last word on an account holds while the directory does not answer")
    down_for: Duration = Field(30.0, description="a server that could not be reached is asked last for this long")
    timeout: Duration = Field(5.0, description="longest wait for one server to connect, and for each of its answers")
    max_binds: int = Field(8, ge=1, le=256, description="sign-ins a worker checks with the directory at once; more wait")
    queue_timeout: Duration = Field(10.0, description="how long a sign-in waits for its turn before the answer is 503")

    @model_validator(mode="before")
    @classmethod
    def _of_its_kind(cls, tree: object) -> object:
        if not isinstance(tree, dict) or tree.get("kind") != "active_directory":
            return tree
        return {**_ACTIVE_DIRECTORY, **tree, "nested_groups": True}

    @model_validator(mode="after")
    def _no_second_required_group(self) -> Self:
        if "required" in self.groups:
            raise ValueError("groups: 'required' is what required_group is called; give this one another name")
        return self

    @model_validator(mode="after")
    def _sealed_wire(self) -> Self:
        bare = [url for url in self.urls if url.startswith("ldap:") and not self.start_tls]
        if bare and not (self.allow_plaintext and all(map(_is_loopback, bare))):
            raise ValueError("ldap:// without start_tls would send passwords in the clear; use ldaps://, or start_tls = true")
        if bool(self.bind_dn) != (self.bind_password_file is not None):
            raise ValueError("bind_dn and bind_password_file go together")
        return self


class SecondFactor(Section):
    """Which second factors there are, in the order in which a person is looked for in them."""

    kinds: Annotated[tuple[Literal["totp", "radius"], ...], AfterValidator(_some_kind)] = Field(
        ("totp",), strict=False, description="`totp` (kept here) and `radius` (RSA SecurID and the like, see `[radius]`)"
    )


class Radius(Section):
    """One-time codes that a RADIUS server checks (RFC 2865), for `second_factor.kinds = ['radius']`."""

    servers: tuple[Listen, ...] = Field((), strict=False, description="`host:port` of each server, tried in this order")
    secret_file: AbsolutePath | None = Field(None, description="file that holds the shared secret")
    nas_identifier: str = Field("slurm-gateway", pattern=r"^[\x21-\x7e]{1,64}$", description="what the gateway calls itself (NAS-Identifier)")
    timeout: Duration = Field(5.0, description="longest wait for one server's answer")
    attempts: int = Field(2, ge=1, le=5, description="times that a server is asked before the next one is")
    memory: Duration = Field(600.0, description="a code that was accepted is refused for this long, whatever the server says of it")


class Enrolment(Section):
    """How people come to a second factor of their own."""

    ways: tuple[Literal["administrator", "ticket", "munge", "session"], ...] = Field(
        ("administrator", "ticket", "session"),
        strict=False,
        description="`administrator` (`enroll USER`), `ticket` (`enroll --ticket USER`), `munge` (`enroll-me` on a login node), "
        "`session` (one more, by someone who has signed in)",
    )
    ticket_lifetime: Duration = Field(86400.0, description="life of a ticket")
    pending: Duration = Field(900.0, description="how long a new authenticator waits for the code that confirms it")
    munge_socket: AbsolutePath | None = Field(None, description="munged's socket, if it is not where libmunge looks for it")
    munge_age: Duration = Field(300.0, description="a munge credential older than this is refused, whatever its own lifetime")
    max_authenticators: int = Field(5, ge=1, le=50, description="authenticators that a person may have")


class Totp(Section):
    """One-time codes (RFC 6238: SHA-1, six digits, thirty seconds, as every authenticator app has them)."""

    issuer: str = Field("slurm-gateway", pattern=r"^[^:\x00-\x1f]{1,64}$", description="the name that authenticator apps show above the code")
    window: int = Field(1, ge=0, le=2, description="steps of 30 s that a clock may be off, either way")


class Sessions(Section):
    """How long a sign-in lasts."""

    lifetime: Duration = Field(12 * 3600.0, description="a session ends this long after signing in, whatever happens")
    idle: Duration = Field(3600.0, description="a session ends when it has not been used for this long")
    cache: Duration = Field(1.0, le=1.0, description="how long a worker believes what it read of a session; an ended one dies within this time")


class Tokens(Section):
    """Personal access tokens, for scripts and CI."""

    max_lifetime: Duration = Field(90 * 86400.0, description="longest life of a personal token")
    default_lifetime: Duration = Field(30 * 86400.0, description="its life when none is asked for")
    max_per_user: int = Field(50, ge=1, le=1000, description="personal tokens that a person may have")
    second_factor_within: Duration = Field(600.0, description="making a token, or changing one's second factors, needs one proved so recently")


class Throttle(Section):
    """How many failed sign-ins are borne within a window; the next is answered 429 before what was tried is evaluated."""

    window: Duration = Field(300.0, description="the length of the window")
    account_address: int = Field(10, ge=1, le=10_000, description="failures per account and client address")
    account: int = Field(
        10, ge=1, le=10_000, description="failures per account from addresses that its owner has not signed in from within `known_address`"
    )
    address: int = Field(100, ge=1, le=100_000, description="failures per client address (IPv6: per /64)")
    site: int = Field(1000, ge=1, le=1_000_000, description="failures in all")
    tokens: int = Field(300, ge=1, le=1_000_000, description="tokens per client address that nobody has")
    codes: int = Field(5, ge=1, le=1000, description="wrong codes per account, each after a right password, within 5 minutes")
    codes_hour: int = Field(20, ge=1, le=10_000, description="wrong codes per account within an hour")
    codes_day: int = Field(50, ge=1, le=100_000, description="wrong codes per account within a day")
    known_address: Duration = Field(
        30 * 86400.0, description="how long an address that the owner signed in from keeps an allowance of its own, whatever others do"
    )
    at_once: int = Field(
        2, ge=1, le=256, description="sign-ins a worker works on at once; more wait. With a second factor that makes people wait (RADIUS), give more"
    )
    patience: Duration = Field(10.0, description="how long a sign-in waits for its turn before the answer is 503")
    refusal_time: Duration = Field(0.25, le=5.0, description="refusals are given at whole multiples of this, so that their time tells nothing")


class Slurm(Section):
    """Who may never be minted for, and for how long the others are."""

    default_cluster: str = Field(description="the cluster that `/slurm/…` without `/clusters/NAME` means")
    minimum_uid: int = Field(1000, ge=1, le=2**32 - 2, description="no token is minted for a uid below this")
    slurm_user: str = Field("slurm", description="SlurmUser of slurm.conf: a token for it would be root on the cluster, so none is minted")
    reserved_users: tuple[str, ...] = Field(
        (), strict=False, description="more names that no token is minted for; `root` and SlurmUser are always among them"
    )
    token_lifetime: Duration = Field(60.0, ge=10, le=60, description="life of a minted Slurm JWT; each is kept until half of it is over")
    versions: bool = Field(
        True,
        description="learn every five minutes which versions of the API a cluster serves: for `latest` in the place of the version, "
        "for a clear word on one that is gone, and for `Deprecation` and `Sunset` on one that will go",
    )
    repair: bool = Field(
        True,
        description="bring a job written for another API version into the form of the one it is sent to; each repair is named in the answer",
    )


class Cluster(Section):
    """One cluster: where its slurmrestd is, and the key that it believes."""

    url: Upstream | None = Field(None, description="slurmrestd: `unix:/path` or `http://host:port`")
    urls: tuple[Upstream, ...] = Field(
        (), strict=False, description="several slurmrestd of the cluster, in the place of `url`; calls are spread over them"
    )
    jwt_key_file: AbsolutePath | None = Field(None, description="HS256: the file that slurm.conf names in `jwt_key=`, byte for byte")
    jwt_private_key_file: AbsolutePath | None = Field(None, description="RS256: the private key (PEM) whose public half is in slurm.conf's `jwks=`")
    jwt_kid: str | None = Field(None, min_length=1, max_length=255, description="RS256: the key's `kid` in that JWKS")
    pool: int = Field(16, ge=1, le=100, description="connections a worker opens at once to one slurmrestd")
    pool_total: int = Field(
        100, ge=1, le=120, description="connections that all workers together open to one slurmrestd, which bears 124 in all, from everyone"
    )
    pool_wait: Duration = Field(30.0, description="how long a request waits for one of them before the answer is 503")
    pool_idle: Duration = Field(5.0, description="an idle connection is closed after this, for slurmrestd never closes one")
    connect_timeout: Duration = Field(5.0, description="longest wait for a connection")
    answer_timeout: Duration = Field(120.0, description="longest wait for the first byte of the answer")
    read_timeout: Duration = Field(60.0, description="longest silence within an answer")
    breaker_failures: int = Field(3, ge=1, le=100, description="failures in a row after which a slurmrestd is not asked for a while")
    breaker_open: Duration = Field(2.0, description="how long it is not asked then; after that one `/diag` finds out whether it is well again")
    breaker_probe: Duration = Field(
        15.0, description="longest wait for that answer; while slurmctld is down, slurmrestd 22.05 takes ten seconds to say so"
    )
    breaker_silence: Duration = Field(5.0, description="a slurmrestd that has calls and says nothing for so long is asked whether it is there")
    breaker_check: Duration = Field(10.0, description="with several slurmrestd: how often each is asked for `/diag`, while there are calls")
    shared: tuple[PathPattern, ...] = Field(
        (),
        strict=False,
        description="patterns of reads that look the same to everybody on this cluster, so that one kept answer serves all: only where Slurm's "
        "PrivateData hides nothing of them",
    )

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Every slurmrestd of the cluster."""
        return self.urls if self.url is None else (self.url,)

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.url is None) == (not self.urls):
            raise ValueError("give either url (one slurmrestd) or urls (several)")
        if (self.jwt_key_file is None) == (self.jwt_private_key_file is None):
            raise ValueError("give either jwt_key_file (HS256) or jwt_private_key_file (RS256)")
        if (self.jwt_private_key_file is None) != (self.jwt_kid is None):
            raise ValueError("jwt_private_key_file and jwt_kid go together: Slurm refuses an RS256 token without a kid")
        return self


class Reads(Section):
    """Reads that people share: one call to slurmrestd for all who ask the same at the same time, and for a second after."""

    enabled: bool = Field(True, description="share reads at all; without it, each request is a call of its own, and lists have no views")
    max_age: Duration = Field(1.0, le=60.0, description="how long an answer is given again without asking slurmrestd whether it still holds")
    confirmed_for: Duration = Field(
        300.0,
        description="how long an answer is given again because slurmrestd says that nothing has changed; then it is fetched anew, for that does "
        "not tell whether its reader may still see all of it",
    )
    memory: Size = Field(32 * 1024**2, description="bytes that a worker keeps of answers, compressed; the least recently used go first")
    max_answer: Size = Field(4 * 1024**2, description="an answer that is larger than this when compressed is passed on as it comes, and not kept")
    clock_skew: Duration = Field(
        2.0, le=60.0, description="how far the gateway's clock and slurmctld's may be apart, for the releases whose answers have no time of their own"
    )


class Views(Section):
    """What the gateway makes of lists itself: `fields`, filters, pages, NDJSON and CSV. It happens in a process of its own."""

    waiting: int = Field(64, ge=1, le=10_000, description="views of a worker that wait for their turn; more are refused with 429")
    waiting_per_user: int = Field(16, ge=1, le=10_000, description="those of one person; their turns alternate with those of others")
    timeout: Duration = Field(30.0, description="longest time for one view")
    max_limit: int = Field(10_000, ge=1, le=1_000_000, description="the largest `limit` of a page")
    max_fields: int = Field(100, ge=1, le=1000, description="how many `fields` one request may name")
    max_list: Size = Field(256 * 1024**2, description="the largest list, unpacked, of which a view is made; without a view it is passed on as it is")
    memory: Size = Field(256 * 1024**2, description="a process that holds more than this after a view is replaced by a new one")


class Events(Section):
    """Telling of changes instead of being asked for them: server-sent events, and reads that wait."""

    interval: Duration = Field(
        1.0, description="how often the list of jobs is looked at while somebody listens; a list that takes longer, half the time"
    )
    heartbeat: Duration = Field(15.0, description="an idle stream gets a comment this often, so that nothing on its way takes it for dead")
    history: int = Field(10_000, ge=0, le=1_000_000, description="events of a cluster that are kept for `Last-Event-ID`")
    keep: Duration = Field(
        300.0, description="how long they are kept when nobody listens any more; not longer than slurm.conf's MinJobAge, or jobs may be missed"
    )
    listeners: int = Field(2000, ge=1, le=100_000, description="streams and waiting reads that a worker serves at once; more are refused with 429")
    listeners_per_user: int = Field(1000, ge=1, le=100_000, description="streams and waiting reads of one person at once, in a worker; then 429")
    max_wait: Duration = Field(120.0, description="the longest `wait` of a read")


class Fairness(Section):
    """How many calls one person may have under way, so that nobody's flood is everybody's wait."""

    per_user: int = Field(8, ge=1, le=100, description="calls of one person that are on their way to one cluster at once, of all workers together")
    waiting_per_user: int = Field(500, ge=1, le=100_000, description="more calls of one person that wait for their turn, in a worker; then 429")
    waiting: int = Field(5000, ge=1, le=1_000_000, description="calls of all that wait, in a worker; then 503")


class Submissions(Section):
    """Submissions with an `Idempotency-Key`."""

    keep: Duration = Field(
        86400.0,
        ge=72_000.0,  # gateway.client.queue sends a key again for as long
        description="how long a key is remembered with the answer that it got; 20 hours at least, for as long a queue of job files counts on it",
    )
    settle: Duration = Field(
        30.0,
        description="when a submission's end is not known: how long after its token has expired (`slurm.token_lifetime`) Slurm may still come to "
        "have the job; more than the clocks differ",
    )
    job_age: Duration = Field(
        300.0, description="MinJobAge of slurm.conf: how long slurmctld shows a job that has ended; after that, slurmdbd is asked for it"
    )
    max_body: Size = Field(4 * 1024**2, description="largest body of a submission with a key, for it is read whole")
    per_user: int = Field(10_000, ge=1, le=10_000_000, description="keys of one person that are remembered; a new one beyond them gets 429")
    marker: bool = Field(
        True, description="put a mark into the comment of a job that has none, so that it is found again if the answer to its submission is lost"
    )


_ORIGIN = re.compile(r"(https?)://([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*|\[[0-9a-f:]{2,39}\])(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS = {"https": "443", "http": "80"}


def _origin(origin: str) -> str:
    """Take what browsers send and nothing else (RFC 6454 section 6.2): it is compared byte for byte, so another spelling would match nothing."""
    match = _ORIGIN.fullmatch(origin) if len(origin) <= 253 else None  # noqa: PLR2004 - the longest name (RFC 1035 section 2.3.4)
    if match is None or int(match[3] or 1) >= 2**16:
        raise ValueError("must be scheme://host[:port] as browsers send it: lower case, no path, no slash at the end; '*' is not taken")
    if match[3] == _DEFAULT_PORTS[match[1]]:
        raise ValueError("names the port that its scheme has anyway, which browsers leave out")
    if match[1] == "http" and not _is_loopback(origin):
        raise ValueError("is http:// and not on this machine: whoever is on its way could put a script of their own into the page")
    return origin


class Cors(Section):
    """Web pages of other origins that may call the gateway from a browser (the Fetch standard's CORS protocol)."""

    origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(
        (), strict=False, description='exact origins, like `"https://portal.example.org"`; none by default'
    )
    max_age: Duration = Field(30.0, description="how long a browser may keep the answer to its pre-flight")


_T = TypeVar("_T")


def _named(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Refuse an empty list: it would match nothing, and is easily taken for one that matches all."""
    if not values:
        raise ValueError("names nothing; leave it out where all are meant")
    return values


Names = Annotated[tuple[_T, ...], AfterValidator(_named)]


class Rule(Section):
    """One rule: it decides about requests that match everything it names; what it does not name matches all."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._ -]{0,63}$", description="what the audit trail and `policy explain` call it")
    effect: Literal["allow", "deny"] = Field(description="`allow` or `deny`")
    groups: Names[str] | None = Field(None, strict=False, description="names of `directory.groups`, or `required`: members of any of them")
    methods: Names[Literal["GET", "POST", "DELETE"]] | None = Field(
        None, strict=False, description="of `GET`, `POST`, `DELETE`; a GET may change something too: `/slurm/*/reconfigure`, `/slurm/*/job/*/requeue`"
    )
    paths: Names[PathPattern] | None = Field(
        None, strict=False, description="patterns of paths without `/clusters/NAME`: `*` within a segment, `**` for any number of segments, also none"
    )
    clusters: Names[str] | None = Field(None, strict=False, description="names of clusters")
    networks: Names[Networks] | None = Field(None, strict=False, description="where the client is; an address that is not known is in no network")
    kinds: Names[Literal["session", "token", "one_shot"]] | None = Field(
        None,
        strict=False,
        description="how it presents itself: `session`, `token` (a personal one) or `one_shot` (password and code with the request)",
    )
    second_factor_within: Duration | None = Field(
        None,
        description="`allow` only: the second factor must have been proved so recently (a personal token's: before it was made), "
        "else the answer is `second_factor_stale`, whatever the rules after this one say",
    )

    @field_validator("second_factor_within")
    @classmethod
    def _only_to_allow(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("effect") == "deny":
            raise ValueError("goes with effect = 'allow' only: no second factor is young enough to be denied")
        return value


class Policy(Section):
    """Who may call what, beyond what Slurm itself permits: the first rule that matches decides, and what none names is denied."""

    rules: Names[Rule] | None = Field(
        None, strict=False, description="`[[policy.rules]]`, in order; without any, the built-in ones (`slurm-gateway policy show`)"
    )


class Audit(Section):
    """The trail of who did what."""

    file: AbsolutePath | None = Field(
        None, description="one JSON line an event, each chained to the one before; standard error, unchained, without it"
    )
    key_file: AbsolutePath | None = Field(
        None,
        description="the Ed25519 key that signs the chain's head, made by `keys init`; `audit.key` beside the key ring without it",
    )
    refusals_a_minute: int = Field(
        600,
        ge=1,
        le=1_000_000,
        description="refusals of strangers that a worker writes of each address; the next line tells how many more there were",
    )
    head_interval: Duration = Field(60.0, description="longest time that lines of the trail wait for a signed head")


class Log(Section):
    """The log on standard error, one JSON line an event."""

    level: str = Field("info", pattern=r"^(debug|info|warning|error)$", description="`debug`, `info`, `warning` or `error`")
    reads: bool = Field(False, description="a line also for each read that succeeded; nginx's log has them, with the same request id")


ClusterName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]


class Config(Section):
    """The whole file."""

    server: Server
    store: Store
    directory: Directory
    second_factor: SecondFactor = SecondFactor()
    totp: Totp = Totp()
    radius: Radius = Radius()
    enrolment: Enrolment = Enrolment()
    sessions: Sessions = Sessions()
    tokens: Tokens = Tokens()
    throttle: Throttle = Throttle()
    slurm: Slurm
    clusters: dict[ClusterName, Cluster] = Field(min_length=1)
    reads: Reads = Reads()
    views: Views = Views()
    events: Events = Events()
    fairness: Fairness = Fairness()
    submissions: Submissions = Submissions()
    cors: Cors = Cors()
    policy: Policy = Policy()
    audit: Audit = Audit()
    log: Log = Log()

    @model_validator(mode="after")
    def _default_exists(self) -> Self:
        if self.slurm.default_cluster not in self.clusters:
            raise ValueError(f"slurm.default_cluster names none of the clusters: {', '.join(sorted(self.clusters))}")
        if "radius" in self.second_factor.kinds and not (self.radius.servers and self.radius.secret_file):
            raise ValueError("second_factor.kinds has radius, so radius.servers and radius.secret_file must be given")
        if "radius" in self.second_factor.kinds and "munge" in self.enrolment.ways:
            raise ValueError("enrolment.ways has munge: a Unix account would take the place of the second factor that radius asks of everybody")
        return self
