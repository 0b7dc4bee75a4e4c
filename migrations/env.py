"""What Alembic runs: on the connection that `labsched.store.upgrade` hands it, else on the file that `-x db=` names.

A new revision: ``alembic -c migrations/alembic.ini -x db=/tmp/queue.db revision --autogenerate -m "what"``.
"""

from pathlib import Path

from alembic import context

from labsched.store import tallies
from labsched.store.engine import open_engine
from labsched.store.tables import metadata


def run(connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        tallies.suspend(connection)
        context.run_migrations()
        if connection.dialect.has_table(connection, "tallies"):
            tallies.install(connection)


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    path = context.get_x_argument(as_dictionary=True).get("db")
    if not path:
        raise SystemExit("name the database: -x db=/path/to/queue.db")
    with open_engine(Path(path)).connect() as connection:
        run(connection)
        connection.commit()
