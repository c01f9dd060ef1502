"""The stage's pass over a model's tables."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.contract.artifacts import (
    SLICES_FILE,
    Examples,
    Model,
    ModelEvaluation,
    Schema,
    split_names,
)
from components.contract.commands import typed
from components.contract.digests import tree_digest
from components.contract.errors import DataError, UserError
from components.data.examples import require_splits
from components.execution.pushed_models import SAVED_MODEL, SERVING_FOLDER
from components.monitor.settings import Settings
from components.monitoring.alarms import update
from components.monitoring.alarms.alarm import OPEN, SUSPECTED, Alarm, by_importance, from_table
from components.monitoring.passes.compute import Computed
from components.monitoring.passes.run import Watch
from components.monitoring.passes.trained import Trained
from components.monitoring.store import INFERENCE, Store

CONTINUE, FAIL = "continue", "fail"

_MOST_SENTENCES = 5


@dataclass(frozen=True)
class Asked:
    """What requests are compared, and with what.

    Attributes:
        tables: The folder or URL with the tables of all models.
        model_name: The model's name.
        version: The version to compare; 0 for all.
        trained: What they are compared with.
        settings: The settings.
    """

    tables: str
    model_name: str
    version: int
    trained: Trained
    settings: Settings

    @property
    def store(self) -> Store:
        """The model's tables."""
        root = self.tables if "://" in self.tables else str(Path(self.tables).absolute())
        return Store(f"{root.rstrip('/')}/{self.model_name}")

    def find(self, version: int) -> Trained:
        """What a version was trained on; raises UserError if it is not the one that is compared."""
        if self.version not in (0, version):
            raise UserError(f"this pass compares version {self.version} only")
        return replace(self.trained, version=version)


@dataclass(frozen=True)
class Passed:
    """What a pass found.

    Attributes:
        windows: The windows that it computed, oldest first, as JSON.
        alarms: The alarms of these windows that are open, acknowledged or suspected, the most important first.
        unknown: Why a version was not compared, by version.
    """

    windows: list[dict[str, Any]]
    alarms: list[Alarm]
    unknown: Mapping[int, str]

    @property
    def open(self) -> list[Alarm]:
        """Those that nobody has acknowledged."""
        return [each for each in self.alarms if each.state == OPEN]

    @property
    def suspected(self) -> list[Alarm]:
        """Those that a later window has to confirm."""
        return [each for each in self.alarms if each.state == SUSPECTED]


def require_known(on_alarm: str) -> None:
    """Raises UserError unless this is a thing to do about alarms."""
    if on_alarm not in (CONTINUE, FAIL):
        raise UserError(f"on_alarm is {on_alarm!r}", fix=f"use {CONTINUE} or {FAIL}")


def trained(
    examples: Examples,
    model: Model | None,
    schema: Schema | None,
    evaluation: ModelEvaluation | None,
    *,
    eval_config: Mapping[str, Any],
    splits: tuple[str, str],
) -> Trained:
    """What the stage's inputs say of the model.

    Raises:
        UserError: A split is missing.
        DataError: The model is none.
    """
    config = dict(eval_config) or (_config(evaluation) if evaluation else {})
    train, held_out = splits
    require_splits(examples, [train])
    return Trained(
        version=0,
        digest=_digest(examples),
        examples=examples,
        split=train,
        model=_folder(model) if model else None,
        model_digest=_digest(model) if model else "",
        schema=(schema.path / "schema.pbtxt").read_text() if schema else "",
        eval_config=config,
        eval_split=held_out if config and held_out in split_names(examples) else "",
        expected=_expected(evaluation) if evaluation else [],
    )


def watch(asked: Asked) -> Passed:
    """One pass.

    Raises:
        UserError: The model has no inference table.
        ServiceError: A table cannot be read or written.
    """
    store, now = asked.store, _now()
    if store.version(INFERENCE) is None:
        raise UserError(
            f"there is no inference table in {store.path(INFERENCE)}",
            fix=f"serve with --inference-tables {asked.tables} --model-name {asked.model_name}, "
            "or correct `tables` and `model_name`",
        )
    watched = asked.settings.watched
    with tempfile.TemporaryDirectory() as cache:
        of = Watch(store, asked.model_name, asked.find, watched, Path(cache), privacy=asked.settings.privacy)
        windows = [_as_json(each) for each in of.pass_over(now)]
    update.refresh(store, asked.model_name, now, watched.alarms)
    return Passed(windows, _alarms(asked), dict(of.unknown))


def failure(asked: Asked, passed: Passed) -> DataError:
    """The error for open alarms."""
    sentences = [f"  {each.sentence}" for each in passed.open[:_MOST_SENTENCES]]
    left = len(passed.open) - len(sentences)
    tables = ("--tables", asked.tables)
    lines = [f"{_counted(len(passed.open))} open for {asked.model_name}:", *sentences]
    return DataError(
        "\n".join([*lines, *([f"  and {left} more"] if left else [])]),
        fix=f"look at them: {typed('taxiway monitor report', asked.model_name, *tables, '-o', 'report.html')}; "
        f"or acknowledge them: {typed('taxiway alarms ack', asked.model_name, passed.open[0].alarm, *tables)}",
    )


def _counted(alarms: int) -> str:
    return "1 alarm is" if alarms == 1 else f"{alarms} alarms are"


def _now() -> datetime:
    return datetime.now(UTC)


def _alarms(asked: Asked) -> list[Alarm]:
    """The alarms that are not closed or muted; those of other versions are none of this pass's."""
    where = [("window", "=", asked.settings.watched.window), ("state", "in", ["open", "acknowledged", "suspected"])]
    found = by_importance(from_table(asked.store.read("alarms", where)))
    return [each for each in found if not asked.version or each.version in (None, asked.version)]


def _as_json(computed: Computed) -> dict[str, Any]:
    changes = [{"event": each.event, "alarm": each.alarm.alarm} for each in computed.changes]
    return {
        "start": computed.window.start.isoformat(),
        "end": computed.window.end.isoformat(),
        "rows": computed.rows,
        "versions": computed.versions,
        "signals": computed.signals,
        "changes": changes,
    }


def _digest(artifact: Examples | Model) -> str:
    return str(artifact.metadata.get("digest") or tree_digest(artifact.path))


def _folder(model: Model) -> Path:
    """The SavedModel of a model as trained or as pushed."""
    for folder in (model.path / SERVING_FOLDER, model.path):
        if (folder / SAVED_MODEL).is_file():
            return folder
    raise DataError(f"{model.path} has no {SAVED_MODEL}", fix="pass the trainer's model, or the pushed model")


def _config(evaluation: ModelEvaluation) -> dict[str, Any]:
    file = evaluation.path / "eval_config.json"
    return dict(json.loads(file.read_text()).get("evalConfig", {})) if file.is_file() else {}


def _expected(evaluation: ModelEvaluation) -> list[dict[str, Any]]:
    file = evaluation.path / SLICES_FILE
    return list(json.loads(file.read_text())) if file.is_file() else []
