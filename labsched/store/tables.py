"""The tables. Their history is in `migrations/`; a test holds the two against each other.

Times are seconds since the epoch. A stage's `line` is the queue of the plan in which it stands: null unless it may
start. That makes the plan's questions cheap by one partial index, whatever the number of jobs.
"""

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text, text

metadata = MetaData()

environments = Table(
    "environments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String, nullable=False, unique=True),
    Column("variables", JSON, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("recipe", String, nullable=False),
    Column("key", String),
    Column("user", String, nullable=False),
    Column("uid", Integer, nullable=False),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column("held_by", String),
    Column("submitted_at", Float, nullable=False),
    Column("environment_id", ForeignKey("environments.id"), nullable=False),
    Column("ended_at", Float),  # what follows from its stages, so that nobody has to look at them all
    Column("outcome", String),
    Column("limits", JSON(none_as_null=True)),  # of resources: (soft, hard) by number, as the submitter had them
    Index("jobs_name", "name"),
    Index("jobs_key", "key"),
    Index("jobs_environment", "environment_id"),
    Index("jobs_over", "id", sqlite_where=text("ended_at IS NOT NULL")),
    Index("jobs_ended", "ended_at", sqlite_where=text("ended_at IS NOT NULL")),
    Index("jobs_bad", "ended_at", sqlite_where=text("outcome IN ('failed', 'timed_out', 'lost')")),
    sqlite_autoincrement=True,  # a number is never given twice, whatever is pruned
)

Index("jobs_live", jobs.c.priority.desc(), jobs.c.id, sqlite_where=jobs.c.ended_at.is_(None))

stages = Table(
    "stages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("argv", JSON, nullable=False),
    Column("cwd", Text, nullable=False),
    Column("env", JSON, nullable=False),
    Column("outputs", JSON, nullable=False),
    Column("needs", JSON, nullable=False),
    Column("up_to", JSON(none_as_null=True)),
    Column("time_limit", Float),
    Column("retry", JSON(none_as_null=True)),
    Column("memory", Integer),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("delays", Integer, nullable=False, server_default=text("0")),
    Column("alone", Boolean(create_constraint=False), nullable=False, server_default=text("0")),
    Column("not_before", Float),
    Column("state", String, nullable=False),
    Column("outcome", String),
    Column("reason", Text),
    Column("ended_at", Float),
    Column("line", String),
    Column("stop_at", Float),
    Column("stop_by", String),
    Column("stop_reason", Text),
    Index("stages_job", "job_id", "position", unique=True),
    Index("stages_line", "line", "id", sqlite_where=text("line IS NOT NULL")),
    Index("stages_live", "job_id", "state", sqlite_where=text("state <> 'ended'")),
    Index("stages_later", "not_before", sqlite_where=text("not_before IS NOT NULL")),
    sqlite_autoincrement=True,
)

dependencies = Table(
    "dependencies",
    metadata,
    Column("stage_id", ForeignKey("stages.id"), primary_key=True),
    Column("on_stage_id", ForeignKey("stages.id"), primary_key=True),
    Index("dependencies_on", "on_stage_id"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("stage_id", ForeignKey("stages.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("folder", Text, nullable=False),
    Column("boot_id", String, nullable=False),
    Column("behind", Integer),  # another attempt, pruned or not
    Column("slots", JSON(none_as_null=True)),  # that it holds, where these are more than its stage needs
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("outcome", String),
    Column("reason", Text),
    Column("note", Text),
    Column("exit_code", Integer),
    Column("signal", String),
    Column("peak_memory", Integer),
    Column("cpu_time", Float),
    Column("bytes_read", Integer),
    Column("bytes_written", Integer),
    Column("oom", Boolean(create_constraint=False), nullable=False, server_default=text("0")),
    Index("attempts_stage", "stage_id", "number", unique=True),
    Index("attempts_open", "stage_id", sqlite_where=text("ended_at IS NULL")),
    sqlite_autoincrement=True,
)

pools = Table(
    "pools",
    metadata,
    Column("name", String, primary_key=True),
    Column("slots", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("paused_by", String),
    Column("paused_at", Float),
    Column("configured", Integer),  # the slots that the configuration gave it last
)

tallies = Table(
    "tallies",
    metadata,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("number", Integer, nullable=False),
    sqlite_with_rowid=False,
)

used = Table(  # by jobs that were pruned: seconds of `slots POOL`, of `cpu`, and how many `jobs`, and how many `failed`
    "used",
    metadata,
    Column("month", String, primary_key=True),
    Column("uid", Integer, primary_key=True),
    Column("user", String, primary_key=True),
    Column("recipe", String, primary_key=True),
    Column("what", String, primary_key=True),
    Column("amount", Float, nullable=False),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("job_id", Integer),
    Column("stage_id", Integer),
    Column("user", String),
    Column("data", JSON, nullable=False),
    Index("events_job", "job_id"),
    sqlite_autoincrement=True,
)

# Where people are told, in the order in which they asked. `lab` has the name of one of the lab's own, which the
# configuration names; nobody but the daemon may read `address`, for it has passwords in it.
targets = Table(
    "targets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", Integer, nullable=False),
    Column("user", String, nullable=False),
    Column("lab", String),
    Column("kind", String, nullable=False),  # url, command
    Column("address", Text, nullable=False),  # a URL; or a command line, as JSON
    Column("kinds", JSON, nullable=False),  # of what it tells
    Column("digest", Float),  # seconds between two messages at least
    Column("log", Boolean(create_constraint=False), nullable=False),  # whether lines of logs may go there
    Column("added_at", Float, nullable=False),
    Column("due", Float),  # when what waits for it is sent
    Column("sent_at", Float),
    Column("streak", Integer, nullable=False, server_default=text("0")),  # messages, one soon after the other
    Column("failures", Integer, nullable=False, server_default=text("0")),  # since it worked last
    Column("trouble", Text),  # why it did not
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("target_id", ForeignKey("targets.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("job_id", Integer),
    Column("stage_id", Integer),
    Column("data", JSON, nullable=False),
    Column("batch", String),  # with which it is being sent
    Index("outbox_target", "target_id", "id"),
    sqlite_autoincrement=True,
)

# What those who look at the queue by themselves have to remember.
marks = Table(
    "marks",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Integer, nullable=False),
    sqlite_with_rowid=False,
)
