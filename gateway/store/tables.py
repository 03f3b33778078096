"""The tables. Times are seconds since the epoch; secrets are sealed, tokens, tickets and recovery codes are kept as SHA-256 only."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, String, Table, Text, UniqueConstraint

# Names for every constraint, so that a later migration can find and change it on any database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Everything that a token stands for: ``kind`` is session, token (personal access token) or enrolment (good for confirming one authenticator).
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("token_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("username", String(64), nullable=False, index=True),
    Column("uid", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("last_used_at", Double, nullable=False),
    Column("second_factor_at", Double, nullable=False),
    Column("address", String(64), nullable=False),
    Column("client", String(200), nullable=False),
    # How the second factor was proved: totp, recovery_code, radius, munge, ticket.
    Column("factor", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    # JSON lists; what a token may do, and where from ([] is everywhere).
    Column("scopes", Text, nullable=False),
    Column("networks", Text, nullable=False),
    # The session that a personal token was made in.
    Column("made_in", String(32), nullable=True),
)

# What the directory last said of everybody who has a session or a token.
accounts = Table(
    "accounts",
    metadata,
    Column("username", String(64), primary_key=True),
    Column("uid", BigInteger, nullable=False),
    # JSON list of the names of the configured groups that the person is in; "required" is the required group.
    Column("groups", Text, nullable=False),
    Column("checked_at", Double, nullable=False),
)

authenticators = Table(
    "authenticators",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("username", String(64), nullable=False, index=True),
    Column("name", String(64), nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    # The last step that was claimed; a step is good only once, and never after a later one.
    Column("last_step", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    # None until a first code has shown that the person has the secret; until then nobody signs in with it.
    Column("confirmed_at", Double, nullable=True),
    Column("last_used_at", Double, nullable=True),
    # How it came to be: administrator, ticket, munge, session.
    Column("origin", String(16), nullable=False),
    UniqueConstraint("username", "name"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("code_sha256", LargeBinary(32), primary_key=True),
    Column("username", String(64), nullable=False, index=True),
    Column("used_at", Double, nullable=True),
)

tickets = Table(
    "tickets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("ticket_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("username", String(64), nullable=False, index=True),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)

# What may be used once and has been: RADIUS codes, munge credentials.
spent = Table(
    "spent",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("digest", LargeBinary(32), primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)

# One row for each failed attempt and each thing it counts against; rows older than the longest window of their scope are swept.
attempts = Table(
    "attempts",
    metadata,
    Column("attempt", String(32), primary_key=True),
    Column("scope", String(16), primary_key=True),
    Column("key", String(160), nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_attempts_scope_key_at", "scope", "key", "at"),
    Index("ix_attempts_scope_at", "scope", "at"),
)

# Where people have signed in from: such an address keeps an allowance of its own.
known_addresses = Table(
    "known_addresses",
    metadata,
    Column("username", String(64), primary_key=True),
    Column("address", String(64), primary_key=True),
    Column("last_at", Double, nullable=False, index=True),
)

# How far each node's audit trail had come when its head was last signed.
audit_heads = Table(
    "audit_heads",
    metadata,
    Column("trail", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("line_sha256", LargeBinary(32), nullable=False),
    Column("at", Double, nullable=False),
)

# One row for each idempotency key that somebody sent with a submission. While ``status`` is 0 its end is not known; ``held_until`` then says how
# long somebody is at it. A row that has its end gives the same answer again.
submissions = Table(
    "submissions",
    metadata,
    Column("username", String(64), primary_key=True),
    Column("cluster", String(40), primary_key=True),
    Column("key_sha256", LargeBinary(32), primary_key=True),
    # Names this sending among those that the key has had: a key is sent anew only when it is certain that the last sending made no job.
    Column("attempt", String(32), nullable=False),
    Column("request_sha256", LargeBinary(32), nullable=False),
    # What stands in the job's comment; empty where the job has one of its own.
    Column("mark", String(40), nullable=False),
    Column("created_at", Double, nullable=False, index=True),
    Column("held_until", Double, nullable=False),
    Column("status", Integer, nullable=False),
    Column("content_type", String(255), nullable=False),
    Column("answer", LargeBinary, nullable=False),
    # 0 where there is none.
    Column("job_id", BigInteger, nullable=False),
)
