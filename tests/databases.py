"""The databases that tests stand on: files of SQLite, or, where TEST_DATABASE_URL names one, a PostgreSQL server's.

Its user must be allowed to create databases; those made here have names of their own and are dropped again.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

SERVER = os.environ.get("TEST_DATABASE_URL")


def new_url(folder: Path) -> str:
    """The URL of a database that does not exist yet; a file is in `folder`."""
    if not SERVER:
        return f"sqlite:///{folder}/tickets.db"
    return make_url(SERVER).set(database=f"test_{uuid.uuid4().hex}").render_as_string(hide_password=False)


@contextmanager
def made(url: str, template: str | None = None) -> Iterator[str]:
    """The database at `url`, empty or like the one at `template`; the server's is dropped at the end."""
    name, like = make_url(url).database, make_url(template).database if template else None
    if not SERVER:
        if name and like:
            shutil.copy(like, name)
        yield url
        return
    _say(f'CREATE DATABASE "{name}" TEMPLATE "{like or "template0"}"')
    try:
        yield url
    finally:
        _say(f'DROP DATABASE "{name}" WITH (FORCE)')


def _say(statement: str) -> None:
    engine = create_engine(SERVER or "", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
