"""Applies the rules of a model's columns to rows before they are written."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from components.contract.errors import UserError
from components.contract.settings import nearest
from components.data.protos import parse_text
from components.inference.columns import INPUT, OUTPUT, REQUEST
from components.inference.privacy import actions, keys, requests, rules, suspects
from components.inference.privacy.actions import Action, Drop, Hash, Keep
from components.inference.privacy.keys import Keys
from components.inference.privacy.suspects import Finding

_SETTINGS = ("keys", "columns", "others", "schema")
_SECONDS = 10.0
"""How often the keys are read again."""


@dataclass
class _KeyRing:
    """The keys at a place, read again after a rotation."""

    place: Path | None
    keys: Keys | None = None
    read_at: float = 0.0

    def current(self) -> Keys | None:
        if self.place and time.monotonic() > self.read_at + _SECONDS:
            self.keys, self.read_at = keys.read(self.place), time.monotonic()
        return self.keys


@dataclass(frozen=True)
class Privacy:
    """The rules of a model's columns.

    Attributes:
        rules: The action by column of the inference table.
        place: The folder or file with the keys of the keyed hash; None if there is none.
        others: What happens to inputs without a rule: `keep` or `drop`.
    """

    rules: Mapping[str, Action] = field(default_factory=dict)
    place: Path | None = None
    others: str = "keep"
    _ring: _KeyRing = field(default_factory=lambda: _KeyRing(None), repr=False, compare=False)

    @classmethod
    def of(
        cls, given: Any = None, schema: Any = None, known: Collection[str] | None = None, where: str = "privacy"
    ) -> Privacy:
        """The rules of the settings and of the schema's marks; a setting comes before a mark.

        Args:
            given: The section `privacy` of the settings; None if there is none.
            schema: The model's TF Metadata schema; None if it has none.
            known: The columns of the model's inference table; None if they are not known yet.
            where: The place of the settings, for errors.

        Raises:
            UserError: A column, an action or a setting is unknown, or a column is hashed and there is no key.
        """
        found = _section(given, where)
        if schema is None and found.get("schema"):
            from tensorflow_metadata.proto.v0 import schema_pb2

            schema = parse_text(Path(str(found["schema"])), schema_pb2.Schema())
            known = columns(feature.name for feature in schema.feature)
        marked = rules.of_schema(schema) if schema is not None else {}
        made = {**marked, **rules.of_settings(found.get("columns") or {}, known, f"{where}.columns")}
        place = Path(str(found["keys"])) if found.get("keys") else None
        if any(isinstance(each, Hash) for each in made.values()) and place is None:
            raise UserError(
                f"{where} hashes columns and names no key", fix=f"add {where}.keys: a folder with key files"
            )
        privacy = cls(made, place, _others(found, where), _KeyRing(place))
        privacy._ring.current()
        return privacy

    @property
    def keys(self) -> Keys | None:
        """The keys of the keyed hash."""
        return self._ring.current()

    @property
    def protects(self) -> bool:
        """Whether any column is not written as it is sent."""
        return self.others == "drop" or any(not isinstance(each, Keep) for each in self.rules.values())

    @property
    def unwatched(self) -> frozenset[str]:
        """Columns in which only missing values can be compared with the training data: dropped and hashed ones."""
        return frozenset(name for name, action in self.rules.items() if isinstance(action, Drop | Hash))

    def apply(self, rows: pa.Table) -> pa.Table:
        """Rows of an inference table as they may be written.

        Dropped columns are gone. An error's message, and a request id that names a protected value, are withheld.

        Raises:
            UserError: The keys cannot be read any more; then nothing may be written.
        """
        if not self.protects:
            return rows
        current = self.keys
        names = [name for name in rows.column_names if not self._is_dropped(name)]
        made = [self._applied(name, rows.column(name).combine_chunks(), current) for name in names]
        fields = [rows.field(name).with_type(data.type) for name, data in zip(names, made, strict=True)]
        kept = pa.table(made, schema=pa.schema(fields, rows.schema.metadata))
        protected = [name for name in rows.column_names if self._is_protected(name)]
        return requests.withheld(kept, rows.select(protected), self.rules, current)

    def training(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Training rows, whose columns are features, as the table would have them: so that both can be compared."""
        names = [name for name in batch.schema.names if not self._is_dropped(_column(name))]
        made = [self._applied(_column(name), batch.column(name), self.keys) for name in names]
        return pa.RecordBatch.from_arrays(made, names)

    def findings(self, rows: pa.Table) -> list[Finding]:
        """Columns without a rule whose values look like names, mails, phone or card numbers; see `suspects`."""
        free = [name for name in rows.column_names if name.startswith((INPUT, OUTPUT)) and name not in self.rules]
        free = [name for name in free if not self._is_dropped(name)]
        return suspects.suspicious(suspects.values(rows.select(free)))

    def _applied(self, name: str, values: pa.Array, current: Keys | None) -> pa.Array:
        action = self.rules.get(name)
        return actions.applied(action, values, current) if action and not isinstance(action, Keep) else values

    def _is_dropped(self, name: str) -> bool:
        is_other = self.others == "drop" and name.startswith(INPUT) and name not in self.rules
        return is_other or isinstance(self.rules.get(name), Drop)

    def _is_protected(self, name: str) -> bool:
        return self._is_dropped(name) or not isinstance(self.rules.get(name, Keep()), Keep)


def load(file: Path, schema: Any = None, known: Collection[str] | None = None) -> Privacy:
    """The rules in a YAML file with a section `privacy`; other sections are not looked at. Raises as `Privacy.of`."""
    try:
        given = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}", fix="name a YAML file with a section `privacy:`") from error
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {error}", fix="correct it") from error
    if not isinstance(given, Mapping) or "privacy" not in given:
        near = nearest("privacy", list(given)) if isinstance(given, Mapping) and given else ""
        raise UserError(f"{file} has no section `privacy:`", fix=near or "add it, with columns: {name: action}")
    return Privacy.of(given["privacy"], schema, known, f"{file}: privacy")


def _section(given: Any, where: str) -> Mapping[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise UserError(f"{where} is {given!r}", fix=f"write settings: {', '.join(_SETTINGS)}")
    for name in given or {}:
        if name not in _SETTINGS:
            raise UserError(f"{where} has no setting {name!r}", fix=nearest(name, _SETTINGS))
    return given or {}


def _others(found: Mapping[str, Any], where: str) -> str:
    others = found.get("others", "keep")
    if others not in ("keep", "drop"):
        raise UserError(f"{where}.others is {others!r}", fix="write keep or drop")
    return str(others)


def _column(name: str) -> str:
    return name if name in REQUEST.names or name.startswith(OUTPUT) else INPUT + name


def columns(features: Iterable[str], outputs: Iterable[str] = ()) -> list[str]:
    """The columns of the inference table of a model with these features and outputs."""
    return [*REQUEST.names, *(INPUT + name for name in features), *(OUTPUT + name for name in outputs)]
