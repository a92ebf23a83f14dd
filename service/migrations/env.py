"""Alembic's environment. `app.migrate` gives the connection; there is no alembic.ini."""

from alembic import context

from app.core.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, compare_type=True)

with context.begin_transaction():
    context.run_migrations()
