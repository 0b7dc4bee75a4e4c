"""the slots that the configuration gave a pool last

Revision: 0003
Follows: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pools", sa.Column("configured", sa.Integer()))
    op.execute("UPDATE pools SET configured = -1")  # nobody knows
