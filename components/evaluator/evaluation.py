"""An evaluation from end to end: settings, models, metrics, validation, blessing."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio import tensor_representation_util

from components.contract.artifacts import Artifact
from components.contract.errors import DataError, UserError
from components.data.examples import PARQUET, payload_format, read_batches, require_splits
from components.evaluator import direct, models, results, settings
from components.evaluator.rows import IndirectError, Inference, Representations, Rows, described
from components.evaluator.slices import Slicer
from components.user_code.eval_configs import near

_BATCH_ROWS = 1 << 13
"""Large enough that the cost of a call of the model does not matter, small enough to keep serialized in memory."""
_MOST_REASONS = 3
"""As many as a line of a run's summary has."""

_COMPARE = (
    "see the log above for the worker's traceback; compare label_key and prediction_key in eval_config with the "
    "columns and the model's outputs, and the metrics with the types of these"
)


class Evaluation:
    """A candidate, perhaps a baseline, the rows and the settings; `write` evaluates.

    Raises:
        UserError: The settings or a model are wrong.
    """

    def __init__(
        self,
        *,
        eval_config: Mapping[str, Any],
        candidate: Artifact,
        baseline: Artifact | None,
        examples: Artifact,
        splits: list[str],
        schema: Artifact | None,
        custom_ops: Sequence[str] = (),
    ) -> None:
        self.baseline = baseline if models.exists(baseline) else None
        self.config = settings.eval_config(eval_config, has_baseline=self.baseline is not None)
        self._candidate = candidate
        self._examples = examples
        self._splits = require_splits(examples, splits)
        self._schema = _read_schema(schema)
        self._models = models.shared_models(self.config, candidate, self.baseline, custom_ops)
        self._inference = Inference(self.config, self._models, self._representations)

    def write(self, folder: Path, beam_pipeline_args: list[str] | None = None) -> None:
        """Evaluates, and writes TFMA's result files into a folder; on Beam if pipeline options are given.

        Raises:
            UserError: A label, a slice's column or a model's input is missing.
            DataError: A split has no rows, or rows lack a label.
        """
        if beam_pipeline_args is not None:
            self._write_on_beam(folder, beam_pipeline_args)
            return
        try:
            self._write_directly(folder)
            return
        except IndirectError as error:
            reason = str(error)
        print(f"evaluator: {reason} needs Beam; TFMA evaluates there", flush=True)
        self._write_on_beam(folder, [])

    def _write_directly(self, folder: Path) -> None:
        plan = direct.plan(self.config, self._models, self._schema)
        slicer = Slicer(self.config.slicing_specs)
        sliced = direct.evaluate(plan, self.rows(slicer.columns), slicer)
        results.write(folder, sliced, self.config, self._locations)

    def _write_on_beam(self, folder: Path, beam_pipeline_args: list[str]) -> None:
        from components.evaluator import on_beam

        found = self._first_rows()
        try:
            on_beam.evaluate(
                self.config,
                models.plain(self._models),
                self._examples,
                self._splits,
                folder,
                schema=self._serialized_schema,
                representations=self._representations,
                beam_pipeline_args=beam_pipeline_args,
            )
        except DataError as error:
            raise UserError(f"TFMA on Beam: {_cause(error)}{found}", fix=_COMPARE) from error
        results.locate_models(folder, self._locations)

    @property
    def _locations(self) -> dict[str, str]:
        """The models by digest, as the lineage records them; paths would make equal evaluations differ."""
        artifacts = filter(None, (self._candidate, self.baseline))
        known = {str(models.serving_path(artifact)): models.location(artifact) for artifact in artifacts}
        return {model.model_name: known[model.model_path] for model in self._models}

    def _first_rows(self) -> str:
        """Finds errors in columns, signatures or labels in the first rows, with a clearer error than Beam's.

        Returns a description of the labels and predictions.
        """
        try:
            rows = next(self.rows(Slicer(self.config.slicing_specs).columns, batch_rows=100))
        except IndirectError as reason:
            return f" (there is {reason})"
        direct.try_on(rows, self.config, self._schema)
        return f" (the labels are {described(rows.labels)}; the predictions are {described(rows.predictions)})"

    def on(self, examples: Artifact, splits: list[str]) -> Evaluation:
        """The same models and settings on other rows."""
        other = copy.copy(self)
        other._examples, other._splits = examples, require_splits(examples, splits)
        return other

    def rows(self, slice_columns: set[str], batch_rows: int = _BATCH_ROWS) -> Iterator[Rows]:
        """The rows with what the models make of them; raises as `write`."""
        seen: set[str] = set()
        for rows in self._inference.rows(self._batches(batch_rows)):
            seen |= rows.column_names
            # A batch of Parquet has all columns; a batch of tf.Examples has only the columns that occur in it.
            if payload_format(self._examples) == PARQUET:
                _require_columns(slice_columns, seen)
            yield rows
        _require_columns(slice_columns, seen)

    def _batches(self, batch_rows: int) -> Iterator[pa.RecordBatch]:
        for split in self._splits:
            count = 0
            for batch in read_batches(self._examples, split, batch_rows=batch_rows, schema=self._serialized_schema):
                count += batch.num_rows
                if batch.num_rows:
                    yield batch
            if not count:
                raise DataError(
                    f"the split {split!r} of {self._examples.path} has no rows to evaluate on",
                    fix="give it rows, or leave it out of `splits`",
                )

    @property
    def _serialized_schema(self) -> bytes | None:
        return None if self._schema is None else self._schema.SerializeToString()

    @property
    def _representations(self) -> Representations:
        if self._schema is None:
            return {}
        inferred: Representations = tensor_representation_util.InferTensorRepresentationsFromMixedSchema(self._schema)
        return inferred


def _cause(error: BaseException) -> str:
    """The first line of an error's root cause: Beam's own text contains the rows."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error).strip().partition("\n")[0][:500]


def _read_schema(schema: Artifact | None) -> schema_pb2.Schema | None:
    if schema is None:
        return None
    return text_format.Parse((schema.path / "schema.pbtxt").read_text(), schema_pb2.Schema())


def _require_columns(wanted: set[str], seen: set[str]) -> None:
    if missing := sorted(wanted - seen):
        raise UserError(
            f"eval_config.slicing_specs: there is no column {missing[0]!r} to slice by",
            fix=near(missing[0], seen, "the columns there are:"),
        )


def verdict_text(against: Sequence[str]) -> str:
    """A verdict in one line, with its first reasons."""
    if not against:
        return "blessed"
    more = [f"and {len(against) - _MOST_REASONS} more in the log"] if len(against) > _MOST_REASONS else []
    return f"not blessed: {'; '.join([*against[:_MOST_REASONS], *more])}"


def objections(evaluation: Evaluation, folder: Path) -> list[str]:
    """The reasons why the results in a folder do not bless the candidate, one a line, as logged; empty if they do.

    As in TFX, a config without a threshold never blesses.
    """
    found = results.failures(folder)
    if not results.has_thresholds(evaluation.config):
        why = "change thresholds need a baseline" if evaluation.baseline is None else "none is set"
        found = [f"there is no threshold to check the metrics against ({why})"]
    for line in found:
        print(f"evaluator: not blessed: {line}", flush=True)
    return found
