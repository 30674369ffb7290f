"""The record, from the connection up to the digests."""

import multiprocessing

# Processes made afresh, for what several of them do at once; the slow imports are done once for all.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    ["alembic.command", "marshmallow", "pytest", "sqlalchemy.orm", "sqlalchemy.dialects.sqlite"]
)
