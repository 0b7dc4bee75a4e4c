"""memory of a stage: its limit, and what an attempt read and wrote

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("stages", sa.Column("memory", sa.Integer()))
    op.add_column("attempts", sa.Column("bytes_read", sa.Integer()))
    op.add_column("attempts", sa.Column("bytes_written", sa.Integer()))
