"""Inserting many rows of one table with a statement that is built once.

For a thousand tickets SQLAlchemy's own executemany spends as long on the parameters as SQLite takes for the rows: it
converts every value of every row, also those that all rows share, or that need no conversion.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table

_Convert = Callable[[Any], Any]


class BulkInsert:
    """An INSERT into `table`: the columns `each` differ from row to row, the columns `shared` are the same in all."""

    def __init__(self, table: Table, each: Sequence[str], shared: Sequence[str]) -> None:
        self._table, self._each, self._shared = table, tuple(each), tuple(shared)

    def execute(self, connection: Connection, rows: Iterable[Sequence[Any]], shared: Mapping[str, Any]) -> None:
        """Insert `rows`, whose values are in the order of `each`; `shared` names the other columns' values."""
        converters = [self._converter(name, connection) for name in self._each]
        converted = [(place, convert) for place, convert in enumerate(converters) if convert]
        same = [self._convert(name, shared[name], connection) for name in self._shared]
        parameters = []
        for row in rows:
            values = [*row, *same]
            for place, convert in converted:
                values[place] = convert(values[place])
            parameters.append(tuple(values))
        connection.exec_driver_sql(self._statement(connection), parameters)

    def _statement(self, connection: Connection) -> str:
        """The INSERT in the driver's own way of writing parameters."""
        names = self._each + self._shared
        quoted = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in names)
        marks = ", ".join(["?" if connection.dialect.name == "sqlite" else "%s"] * len(names))
        return f"INSERT INTO {self._table.name} ({quoted}) VALUES ({marks})"  # noqa: S608 - No name comes from outside.

    def _convert(self, name: str, value: Any, connection: Connection) -> Any:
        convert = self._converter(name, connection)
        return convert(value) if convert else value

    def _converter(self, name: str, connection: Connection) -> _Convert | None:
        """What makes the driver's value of a column's; None where they are the same, as for all texts and numbers."""
        kind = self._table.c[name].type.dialect_impl(connection.dialect)
        return kind.bind_processor(connection.dialect)
