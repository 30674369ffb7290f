"""Alembic's entry: runs migrations on the connection that `database.migrate` hands over."""

from alembic import context

from receiver.db.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
context.run_migrations()
