"""another attempt: the policy of a stage, and when it may start again

Revision: 0002
Follows: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Columns are added where they are: SQLite need not write the table anew, however long it is.
    op.add_column("stages", sa.Column("retry", sa.JSON()))
    op.add_column("stages", sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("stages", sa.Column("delays", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("stages", sa.Column("alone", sa.Boolean(), nullable=False, server_default=sa.text("0")))
    op.add_column("stages", sa.Column("not_before", sa.Float()))
    op.create_index("stages_later", "stages", ["not_before"], sqlite_where=sa.text("not_before IS NOT NULL"))
    op.add_column("attempts", sa.Column("oom", sa.Boolean(), nullable=False, server_default=sa.text("0")))
