"""prune: which jobs have an environment is known without looking at all of them

Revision: 0005
Follows: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("jobs_environment", "jobs", ["environment_id"])
