"""The section on training: curves, what it cost, the settings, the layers, and what the model takes and gives."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from components.contract.artifacts import Artifact
from components.execution.pushed_models import SERVING_FOLDER
from components.reports.charts import Frame, Series, lines
from components.reports.figures import NOTHING, counted, duration, number, short_digest, size
from components.reports.markup import Content
from components.reports.model.sentences import listed
from components.reports.page import Section
from components.reports.parts import block, code, facts, fold, heading, notice, paragraph, side_by_side, stack, tiles
from components.reports.ran import Ran
from components.reports.readers import records
from components.reports.readers.trying import Unreadable, tried
from components.reports.tables import Cell, Column, table

if TYPE_CHECKING:
    from components.reports.readers.saved_models import SavedModel, Signature, Variable
    from components.reports.readers.training_logs import Layer, Logs

_UNKNOWN = Ran()
_WIDE = Frame(left=80)  # for small numbers, such as learning rates
_MOST_CURVES = 8
_MOST_FOLDED = 32
_OPEN_TENSORS = 8
_LONG = 400  # characters of a setting
_PER_EPOCH = re.compile(r"epoch_(?P<name>.+)|(?P<other>.+)_vs_epochs?")
_PER_STEP = re.compile(r"batch_(?P<name>.+)|evaluation_(?P<other>.+)_vs_iterations")


def section(
    model: Artifact | None,
    model_run: Artifact | None,
    *,
    ran: Ran = _UNKNOWN,
    id_: str = "training",
    title: str = "Training",
) -> Section:
    """What a trainer made.

    Args:
        model: A Model.
        model_run: What it logged, a ModelRun.
        ran: The task that trained.
        id_: The section's anchor.
        title: Its heading.
    """
    logs = tried("The curves", lambda: _logs(model_run)) if model_run else Unreadable("Nothing was logged.")
    saved = tried("The model", lambda: _saved(model)) if model else Unreadable("There is no model.")
    unreadable = [each for each in (logs, saved) if isinstance(each, Unreadable)]
    body = stack(
        *(notice(each.sentence, "warn") for each in unreadable),
        _tiles(saved, ran),
        _curves(logs, _logs_place(model_run, ran)),
        _settings(model or model_run),
        None if isinstance(saved, Unreadable) else _signatures(saved),
        _layers(logs, saved),
    )
    return Section(id_, title, body, _summary(logs, saved, ran))


def _logs(model_run: Artifact) -> Logs:
    from components.reports.readers import training_logs

    return training_logs.read(model_run.path)


def _saved(model: Artifact) -> SavedModel:
    from components.reports.readers import saved_models

    return saved_models.read(model.path / SERVING_FOLDER)


def _summary(logs: Logs | Unreadable, saved: SavedModel | Unreadable, ran: Ran) -> str:
    took = f" took {duration(ran.seconds)}" if ran.seconds else ""
    count = 0 if isinstance(saved, Unreadable) else saved.parameters
    made = f" made a model with {counted(count, 'parameter')}" if count else ""
    what = " and".join(part for part in (took, made) if part)
    ends = [] if isinstance(logs, Unreadable) else list(_last_losses(logs))
    first = f"Training{what}." if what else ""
    last = f"The loss ended at {listed(ends)}." if ends else ""
    return " ".join(part for part in (first, last) if part) or "What training made cannot be read."


def _last_losses(logs: Logs) -> Iterator[str]:
    """The last loss of each folder of logs; on its own rows and on those held out."""
    tag = next((name for name in ("epoch_loss", "loss", "batch_loss") if name in logs.scalars), "")
    for run, values in logs.scalars.get(tag, {}).items():
        yield f"{number(values[max(values)])} ({run})"


def _tiles(saved: SavedModel | Unreadable, ran: Ran) -> Content:
    figures: list[tuple[Content, Content, Content]] = []
    if ran.seconds:
        cpu = f"{duration(ran.cpu_seconds)} of CPU" if ran.cpu_seconds else ""
        figures.append(("time", duration(ran.seconds), cpu))
    if ran.peak_mb:
        figures.append(("memory at its peak", size(ran.peak_mb * 1e6), ""))
    if not isinstance(saved, Unreadable):
        parts = ", ".join(f"{name} {size(count)}" for name, count in saved.bytes_by_part.items())
        figures.append(("size of the model", size(sum(saved.bytes_by_part.values())), parts))
        if saved.parameters:
            figures.append(("parameters", number(saved.parameters), "trainable"))
    return tiles(figures) if figures else None


def _logs_place(model_run: Artifact | None, ran: Ran) -> str:
    """Where TensorBoard finds the logs; empty if that is not known: a runner moves what a task has just made."""
    if model_run is None or "://" in model_run.uri:
        return model_run.uri if model_run else ""
    return "" if ran.has_just_ended else str(model_run.path)


def _curves(logs: Logs | Unreadable, place: str) -> Content:
    if isinstance(logs, Unreadable):
        return None
    damaged = [notice(f"A log is shown up to where it is damaged: {each}.", "warn") for each in logs.damaged]
    if not logs.scalars:
        return stack(*damaged, heading("Curves"), paragraph("The module logged no curves for TensorBoard."))
    tags = sorted(logs.scalars, key=lambda tag: ("loss" not in tag, words_of(tag)))
    drawn = [tag for tag in tags if any(len(values) > 1 for values in logs.scalars[tag].values())]
    return stack(
        *damaged,
        heading("Curves"),
        *_pictures(drawn, logs),
        _last_values(tags, logs, is_all=not drawn),
        *_tensorboard(place),
    )


def _tensorboard(place: str) -> list[Content]:
    words = "TensorBoard shows the same logs, and what else the module wrote:"
    return [paragraph(words), block(f"tensorboard --logdir {shlex.quote(place)}")] if place else []


def _pictures(tags: Sequence[str], logs: Logs) -> Iterator[Content]:
    pictures = [_curve(tag, logs.scalars[tag]) for tag in tags[:_MOST_FOLDED]]
    yield side_by_side(*pictures[:_MOST_CURVES]) if pictures else None
    if folded := pictures[_MOST_CURVES:]:
        yield fold(counted(len(folded), "more curve"), side_by_side(*folded))
    if left := len(tags) - len(pictures):
        yield paragraph(f"{counted(left, 'curve')} more in TensorBoard.", quiet=True)


def words_of(tag: str) -> tuple[str, str]:
    """A tag as Keras writes it: what is measured, and what it is measured by."""
    for pattern, unit in ((_PER_EPOCH, "epoch"), (_PER_STEP, "step")):
        if found := pattern.fullmatch(tag):
            return found["name"] or found["other"], unit
    return tag, "step"


def _curve(tag: str, runs: Mapping[str, Mapping[int, float]]) -> Markup:
    what, unit = words_of(tag)
    series = [Series(run, [(float(x), y) for x, y in sorted(values.items())]) for run, values in sorted(runs.items())]
    return lines(series, unit, what, title=f"{what} by {unit}", frame=_WIDE)


def _last_values(tags: Sequence[str], logs: Logs, *, is_all: bool) -> Markup:
    """The last value of each curve."""
    runs = sorted({run for tag in tags for run in logs.scalars[tag]})
    columns = [Column("logged"), *(Column(run, is_number=True) for run in runs), Column("at")]
    rows = [_last_row(tag, logs.scalars[tag], runs) for tag in tags]
    whole = table("Last values", columns, rows, is_searchable=len(rows) > 20)
    if is_all:
        once = paragraph("Each was logged once, which makes no curve.", quiet=True)
        return stack(once, whole)
    return fold("Last values", whole)


def _last_row(tag: str, runs: Mapping[str, Mapping[int, float]], names: Sequence[str]) -> list[Content]:
    what, unit = words_of(tag)
    values = [found[max(found)] if (found := runs.get(name)) else None for name in names]
    return [what, *values, f"{unit} {max(max(found) for found in runs.values()):,}"]


def _settings(artifact: Artifact | None) -> Content:
    record = records.own(artifact)
    if not record:
        return None
    pairs = [(name, _setting(value)) for name, value in record["parameters"].items() if value not in ("", [], {}, None)]
    modules = records.modules(record)
    pairs += [
        (f"code of {module.get('function', '')}", code(short_digest(str(module.get("digest", "")))))
        for module in modules
    ]
    if "deterministic" in record:
        pairs.append(("reproducible", _determinism(record)))
    return stack(heading("Settings"), facts(pairs))


def _setting(value: Any) -> Content:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return code(text if len(text) <= _LONG else f"{text[:_LONG]}…")


def _determinism(record: Mapping[str, Any]) -> str:
    if record["deterministic"]:
        return "the same inputs give the same bytes"
    return f"no: {record.get('not_deterministic', 'it is not known why')}"


def _signatures(saved: SavedModel) -> Content:
    if not saved.signatures:
        return notice("The model has no signature, so no server can call it.", "warn")
    parts = [_signature(each, is_only=len(saved.signatures) == 1) for each in saved.signatures]
    return stack(heading("Signatures"), *parts)


def _signature(each: Signature, *, is_only: bool) -> Markup:
    columns = ["name", "is", "type", "shape"]
    rows = [
        [tensor.name, kind, tensor.type, tensor.shape]
        for kind, tensors in (("input", each.inputs), ("output", each.outputs))
        for tensor in tensors
    ]
    words = f"{counted(len(each.inputs), 'input')}, {counted(len(each.outputs), 'output')}"
    method = f", {each.method}" if each.method and each.method != "predict" else ""
    shown = table(f"Inputs and outputs of {each.name}", columns, rows, hide_caption=True, is_searchable=False)
    return fold(f"{each.name} ({words}{method})", shown, is_open=is_only or len(rows) <= _OPEN_TENSORS)


def _layers(logs: Logs | Unreadable, saved: SavedModel | Unreadable) -> Content:
    """The layers as the module logged them, with the variables that the SavedModel has for each."""
    variables = [] if isinstance(saved, Unreadable) else [each for each in saved.variables if each.is_trainable]
    layers = [] if isinstance(logs, Unreadable) else logs.layers
    if not layers and not variables:
        return None
    of_layer: dict[str, list[Variable]] = {}
    for variable in variables:
        of_layer.setdefault(variable.name.rpartition("/")[0] or variable.name, []).append(variable)
    rows = [_layer_row(each, of_layer.pop(each.name, [])) for each in layers]
    rows += [[name, None, None, *_weights(found)] for name, found in of_layer.items()]
    columns: list[str | Column] = ["layer", "kind", "settings", "weights", Column("parameters", is_number=True)]
    words = counted(len(rows), "layer")
    shown = table("Layers and their weights", columns, rows, hide_caption=True)
    return stack(heading("Layers"), fold(f"{words} in the model’s order", shown, is_open=len(rows) <= 12))


def _layer_row(layer: Layer, variables: Sequence[Variable]) -> list[Content]:
    settings = ", ".join(f"{name} {value}" for name, value in layer.settings.items())
    return [layer.name, layer.kind, settings or None, *_weights(variables)]


def _weights(variables: Sequence[Variable]) -> list[Content]:
    words = ", ".join(f"{each.name.rpartition('/')[2]} {list(each.shape)}" for each in variables)
    count = sum(each.count for each in variables)
    return [words or None, Cell(number(count) if variables else NOTHING, count)]
