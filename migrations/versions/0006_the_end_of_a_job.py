"""the end of a job in its own row, and tallies: what people ask costs the same, however long the queue

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LIVE = "EXISTS (SELECT 1 FROM stages s WHERE s.job_id = jobs.id AND s.state <> 'ended')"
OF_JOB = "SELECT s.outcome FROM stages s WHERE s.job_id = jobs.id AND s.outcome"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("ended_at", sa.Float()))
    op.add_column("jobs", sa.Column("outcome", sa.String()))
    op.execute(f"""
        UPDATE jobs SET
            ended_at = (SELECT max(s.ended_at) FROM stages s WHERE s.job_id = jobs.id),
            outcome = coalesce(({OF_JOB} NOT IN ('succeeded', 'skipped') ORDER BY s.position LIMIT 1),
                               ({OF_JOB} = 'skipped' LIMIT 1), 'succeeded')
        WHERE NOT {LIVE}""")
    for name, columns, where in (
        ("jobs_live", [sa.text("priority DESC"), "id"], "ended_at IS NULL"),
        ("jobs_over", ["id"], "ended_at IS NOT NULL"),
        ("jobs_ended", ["ended_at"], "ended_at IS NOT NULL"),
        ("jobs_bad", ["ended_at"], "outcome IN ('failed', 'timed_out', 'lost')"),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=sa.text(where))
    op.create_table(
        "tallies",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name"),
        sqlite_with_rowid=False,
    )
