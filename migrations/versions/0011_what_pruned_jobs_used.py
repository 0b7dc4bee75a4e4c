"""what pruned jobs used: monthly sums, which stay when the jobs go; and stages are counted by how they ended

Revision: 0011
Follows: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "used",
        sa.Column("month", sa.String(), primary_key=True),
        sa.Column("uid", sa.Integer(), primary_key=True),
        sa.Column("user", sa.String(), primary_key=True),
        sa.Column("recipe", sa.String(), primary_key=True),
        sa.Column("what", sa.String(), primary_key=True),
        sa.Column("amount", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
