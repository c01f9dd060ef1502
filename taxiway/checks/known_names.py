"""The names that a pipeline's data and modules use, as far as they are known without running the pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.contract.errors import UserError
from components.data import column_names
from components.user_code import eval_configs, user_modules
from components.user_code.eval_configs import Fault, Name
from components.versioning import data_versions

_USUAL_SIGNATURES = {"serving_default"}
_SHORT = 3
"""The minimum length of a column name: shorter ones occur in many unrelated words."""


class KnownNames:
    """The columns of the data and the words of the modules of all tasks that were added."""

    def __init__(self) -> None:
        self._columns: set[str] | None = set()
        self._words: set[str] | None = set()

    def add_data(self, path: Any, repository: str, delimiter: str) -> None:
        """Adds the columns of a task's data; all files in a folder have the same columns."""
        try:
            files = data_versions.files_here(path, repo=repository)
        except UserError:
            files = []
        columns = column_names.of_file(files[0], delimiter) if files else None
        self._columns = None if self._columns is None or columns is None else self._columns | set(columns)

    def add_module(self, module: Any) -> None:
        """Adds the words of a module and of the modules that it imports."""
        try:
            words = user_modules.words(module)
        except UserError:
            words = None
        self._words = None if self._words is None or words is None else self._words | words

    def add_unknown(self) -> None:
        """Notes that there may be other columns, features or models."""
        self._columns = self._words = None

    def unknown(self, settings: Mapping[str, Any]) -> Iterator[Fault]:
        """The names in a valid EvalConfig that neither the data nor the modules have."""
        for name in eval_configs.names(settings):
            if self._words is None or name.name in self._words:
                continue
            if name.kind == "signature" and name.name not in _USUAL_SIGNATURES:
                yield Fault(f"{name.path}: no module names a signature {name.name!r}")
            elif name.kind == "column" and self._columns is not None:
                yield from self._unknown_column(name, self._columns)

    def _unknown_column(self, name: Name, columns: set[str]) -> Iterator[Fault]:
        if name.name not in columns and not any(_is_made_of(name.name, column) for column in columns):
            what = f"{name.path}: {name.name!r} is not a column of the data, and no module names it"
            yield Fault(what, eval_configs.near(name.name, columns, "the columns are"))


def _is_made_of(feature: str, column: str) -> bool:
    """Whether a transformed feature's name may be derived from a column's, like `tips_xf` from `tips`."""
    separated = feature.startswith(f"{column}_") or feature.endswith(f"_{column}")
    return separated or (len(column) >= _SHORT and (feature.startswith(column) or feature.endswith(column)))
