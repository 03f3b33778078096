"""Personal tokens, what the directory last said, several authenticators a person, tickets, known addresses, heads of the audit trail.

A migration spells its tables out: it must do the same on the day that the tables have moved on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change what is there and create what is new; attempts are forgotten, for they are counted otherwise from now on."""
    _sessions()
    _authenticators()
    _recovery_codes()
    _attempts()
    _new_tables()


def _sessions() -> None:
    with op.batch_alter_table("sessions") as table:
        table.alter_column("uid", existing_type=sa.Integer(), type_=sa.BigInteger(), existing_nullable=False)
        table.add_column(sa.Column("factor", sa.String(16), nullable=False, server_default="totp"))
        table.add_column(sa.Column("name", sa.String(64), nullable=False, server_default=""))
        table.add_column(sa.Column("scopes", sa.Text(), nullable=False, server_default='["*"]'))
        table.add_column(sa.Column("networks", sa.Text(), nullable=False, server_default="[]"))
        table.add_column(sa.Column("made_in", sa.String(32), nullable=True))
    with op.batch_alter_table("sessions") as table:
        for column in ("factor", "name", "scopes", "networks"):
            table.alter_column(column, server_default=None)


def _authenticators() -> None:
    with op.batch_alter_table("authenticators") as table:
        table.add_column(sa.Column("confirmed_at", sa.Double(), nullable=True))
        table.add_column(sa.Column("last_used_at", sa.Double(), nullable=True))
        table.add_column(sa.Column("origin", sa.String(16), nullable=False, server_default="administrator"))
    op.execute("UPDATE authenticators SET confirmed_at = created_at")
    with op.batch_alter_table("authenticators") as table:
        table.alter_column("origin", server_default=None)
        table.create_unique_constraint("uq_authenticators_username_name", ["username", "name"])


def _recovery_codes() -> None:
    """Let the codes belong to the person, whatever authenticators come and go."""
    with op.batch_alter_table("recovery_codes") as table:
        table.drop_index("ix_recovery_codes_authenticator_id")
        table.drop_constraint("fk_recovery_codes_authenticator_id", type_="foreignkey")
        table.drop_column("authenticator_id")
        table.create_index("ix_recovery_codes_username", ["username"])


def _attempts() -> None:
    op.drop_table("attempts")
    op.create_table(
        "attempts",
        sa.Column("attempt", sa.String(32), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("key", sa.String(160), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("attempt", "scope", name="pk_attempts"),
    )
    op.create_index("ix_attempts_scope_key_at", "attempts", ["scope", "key", "at"])
    op.create_index("ix_attempts_scope_at", "attempts", ["scope", "at"])


def _new_tables() -> None:
    op.create_table(
        "accounts",
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("username", name="pk_accounts"),
    )
    op.create_table(
        "tickets",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("ticket_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tickets"),
        sa.UniqueConstraint("ticket_sha256", name="uq_tickets_ticket_sha256"),
    )
    op.create_index("ix_tickets_username", "tickets", ["username"])
    op.create_index("ix_tickets_expires_at", "tickets", ["expires_at"])
    op.create_table(
        "spent",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "digest", name="pk_spent"),
    )
    op.create_index("ix_spent_expires_at", "spent", ["expires_at"])
    op.create_table(
        "known_addresses",
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("last_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("username", "address", name="pk_known_addresses"),
    )
    op.create_index("ix_known_addresses_last_at", "known_addresses", ["last_at"])
    op.create_table(
        "audit_heads",
        sa.Column("trail", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("line_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("trail", name="pk_audit_heads"),
    )
