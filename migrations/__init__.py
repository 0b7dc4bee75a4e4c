"""The history of the schema, for Alembic. Installed as `labsched.migrations`; `labsched.store.upgrade` runs it."""
