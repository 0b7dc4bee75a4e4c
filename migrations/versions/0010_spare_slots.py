"""spare slots: a stage may be able to use more slots than it needs, and an attempt have got them

Revision: 0010
Follows: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("stages", sa.Column("up_to", sa.JSON(none_as_null=True)))
    op.add_column("attempts", sa.Column("slots", sa.JSON(none_as_null=True)))
