"""no index of ended stages: since 0006 a job's own row says when it ended, and nobody asks the stages

Revision: 0008
Follows: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("stages_ended", "stages")
