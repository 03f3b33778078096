"""The tables. Times are seconds since the epoch; secrets are sealed, tokens and recovery codes are kept as SHA-256 only."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table

# Names for every constraint, so that a later migration can find and change it on any database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("token_sha256", LargeBinary(32), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("username", String(64), nullable=False, index=True),
    Column("uid", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("last_used_at", Double, nullable=False),
    Column("second_factor_at", Double, nullable=False),
    Column("address", String(64), nullable=False),
    Column("client", String(200), nullable=False),
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
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("code_sha256", LargeBinary(32), primary_key=True),
    Column("authenticator_id", String(32), ForeignKey("authenticators.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("username", String(64), nullable=False),
    Column("used_at", Double, nullable=True),
)

# One row for each failed attempt and each thing it counts against; rows older than the window are swept.
attempts = Table(
    "attempts",
    metadata,
    Column("attempt", String(32), primary_key=True),
    Column("scope", String(16), primary_key=True),
    Column("key", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_attempts_scope_key_at", "scope", "key", "at"),
    Index("ix_attempts_at", "at"),
)
