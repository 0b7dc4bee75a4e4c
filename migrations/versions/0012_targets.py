"""targets: where people are told, what waits to be sent there, and how far the events were looked through

Revision: 0012
Follows: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "targets",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uid", sa.Integer, nullable=False),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("lab", sa.String),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("kinds", sa.JSON, nullable=False),
        sa.Column("digest", sa.Float),
        sa.Column("log", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("added_at", sa.Float, nullable=False),
        sa.Column("due", sa.Float),
        sa.Column("sent_at", sa.Float),
        sa.Column("streak", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("trouble", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("target_id", sa.Integer, sa.ForeignKey("targets.id"), nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("job_id", sa.Integer),
        sa.Column("stage_id", sa.Integer),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("batch", sa.String),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_target", "outbox", ["target_id", "id"])
    op.create_table(
        "marks",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
