"""What to forget: conditions on columns. A value is looked for as it is, and under every key of the keyed hash."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.contract.errors import UserError
from components.inference.columns import INPUT, OUTPUT, REQUEST
from components.inference.privacy.actions import Drop, Hash, Keep
from components.inference.privacy.keys import Keys
from components.inference.privacy.privacy import Privacy


@dataclass(frozen=True)
class Key:
    """One customer: values by column, all of which must hold.

    Attributes:
        values: The conditions, as columns of the inference table and texts.
    """

    values: tuple[tuple[str, str], ...]


def parse(texts: Iterable[str]) -> list[Key]:
    """The keys of `--key column=value` options, each a customer of its own.

    Raises:
        UserError: One has another form.
    """
    found = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise UserError(
                f"the key {text!r} is not of the form COLUMN=VALUE", fix=f"write --key {name or 'COLUMN'}=..."
            )
        found.append(Key(((column_of(name), value),)))
    return found


def read(file: Path) -> list[Key]:
    """The keys of a CSV file: its columns are named in the first line, and each row is a customer.

    Raises:
        UserError: It cannot be read, or a row has no value.
    """
    try:
        rows = list(csv.DictReader(file.read_text("utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} cannot be read: {error}", fix="write a CSV file: a header, then a row each") from error
    for line, row in enumerate(rows, 2):
        if None in row or not all(row.values()):
            raise UserError(f"{file}, line {line}: a value is missing or too many", fix="write a value for each column")
    if not rows:
        raise UserError(f"{file} has no rows", fix="write the columns' names, then a row for each customer")
    return [Key(tuple((column_of(name), value) for name, value in row.items())) for row in rows]


def column_of(name: str) -> str:
    """The inference table's column that a name means: a feature, or a column as it is."""
    return name if name in REQUEST.names or name.startswith((INPUT, OUTPUT)) else INPUT + name


def require_findable(keys: Iterable[Key], privacy: Privacy) -> None:
    """Refuses a key in a column that is cut or generalised: its rows cannot be told from other customers'.

    Raises:
        UserError: There is such a column.
    """
    for column, _ in {pair for key in keys for pair in key.values}:
        action = privacy.rules.get(column, Keep())
        if not isinstance(action, Keep | Drop | Hash):
            what = f"{column} is written {type(action).__name__.lower()}, which many customers may share"
            raise UserError(what, fix="give a column that is kept or hashed, such as --key request_id=...")


def candidates(value: str, keys: Keys | None) -> list[str]:
    """The forms in which a value may have been written."""
    return [value, *(keys.every_hash(value.encode()) if keys else [])]
