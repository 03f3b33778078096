"""Sessions, authenticators with their recovery codes, and failed attempts.

A migration spells its tables out: it must do the same on the day that the tables have moved on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("uid", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("last_used_at", sa.Double(), nullable=False),
        sa.Column("second_factor_at", sa.Double(), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("client", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("token_sha256", name="uq_sessions_token_sha256"),
    )
    op.create_index("ix_sessions_username", "sessions", ["username"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_table(
        "authenticators",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_authenticators"),
    )
    op.create_index("ix_authenticators_username", "authenticators", ["username"])
    op.create_table(
        "recovery_codes",
        sa.Column("code_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("authenticator_id", sa.String(32), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("code_sha256", name="pk_recovery_codes"),
        sa.ForeignKeyConstraint(["authenticator_id"], ["authenticators.id"], name="fk_recovery_codes_authenticator_id", ondelete="CASCADE"),
    )
    op.create_index("ix_recovery_codes_authenticator_id", "recovery_codes", ["authenticator_id"])
    op.create_table(
        "attempts",
        sa.Column("attempt", sa.String(32), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("attempt", "scope", name="pk_attempts"),
    )
    op.create_index("ix_attempts_scope_key_at", "attempts", ["scope", "key", "at"])
    op.create_index("ix_attempts_at", "attempts", ["at"])
