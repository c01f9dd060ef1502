"""Batches of rows with what TFMA's extractors add to them: labels, weights, predictions, transformed features."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_model_analysis as tfma
from numpy.typing import NDArray
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.api import types
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import model_util, util
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from components.contract.errors import DataError, ServiceError, UserError
from components.upstream.tfma import PREPROCESSING_SIGNATURES

Representations = Mapping[str, Any]


class IndirectError(Exception):
    """The direct engine does not support this; the message says what."""


@dataclass(frozen=True)
class Rows:
    """One batch.

    Attributes:
        batch: The rows as they were read, in TFXIO's form.
        transformed: What the preprocessing functions return, a mapping of arrays for each model that has any.
        labels: An array, (rows, labels), or dicts of such by model and by output, as in TFMA's extracts.
        predictions: The same for what the models return.
        weights: The same for example weights; None where there are none.
    """

    batch: pa.RecordBatch
    transformed: list[Mapping[str, NDArray[Any]]]
    labels: Any
    predictions: Any
    weights: Any

    @property
    def column_names(self) -> set[str]:
        """The columns that slices and labels may be taken from."""
        return set(self.batch.schema.names).union(*self.transformed)


class Inference:
    """Runs the models over batches, through TFMA's own functions.

    Args:
        config: The EvalConfig.
        models: The models, one a model spec.
        representations: How columns become tensors: by the schema, else by TFMA's defaults.
    """

    def __init__(
        self,
        config: config_pb2.EvalConfig,
        models: list[tfma.EvalSharedModel],
        representations: Representations,
    ) -> None:
        self._specs = list(config.model_specs)
        self._models = {model.model_name: model for model in models}
        self._representations = representations
        self._encoder = RecordBatchToExamplesEncoder()
        self._transform = self._signatures(
            constants.TRANSFORMED_FEATURES_KEY,
            {self._name(spec): self._functions(spec) for spec in self._specs},
            default_signature_names=[],
        )
        self._predict = self._signatures(
            constants.PREDICTIONS_KEY,
            {self._name(spec): [spec.signature_name] for spec in self._specs},
            prefer_dict_outputs=False,
        )

    def rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Rows]:
        """The batches with everything computed from them; the next batch is read and encoded meanwhile."""
        for batch, extracts in _ahead((batch, self.extracts(batch)) for batch in batches):
            yield self._rows(batch, extracts)
            # A call of the model leaves its tensors in reference cycles, but so few objects that Python's garbage
            # collection would run hundreds of megabytes later.
            gc.collect(1)

    def extracts(self, batch: pa.RecordBatch) -> dict[str, Any]:
        """What TFMA's inference starts from: used columns as tensors, and serialized examples if models take them."""
        columns, serialized = self._inputs(batch.schema.names)
        used = [name for name in _with_values(batch) if name in columns | self._keys()]
        represented = {name: kind for name, kind in self._representations.items() if name in used}
        features = util.record_batch_to_tensor_values(batch.select(used), represented)
        examples = np.array(self.encode(batch), dtype=object) if serialized else None
        # Under the name of the signature's input too, so that TFMA calls it by name. If it is called by position,
        # TensorFlow first raises an error and formats the whole tensor for its message.
        features.update(dict.fromkeys(serialized - {""}, examples))
        return {constants.FEATURES_KEY: features, constants.INPUT_KEY: examples}

    def encode(self, batch: pa.RecordBatch) -> list[bytes]:
        """The rows as serialized tf.Examples."""
        encoded: list[bytes] = self._encoder.encode(batch.select(_with_values(batch)))
        return encoded

    def judged(self, batch: pa.RecordBatch, predictions: Any) -> Rows:
        """A batch with predictions that were made before, as those that a server answered."""
        extracts = self._call(self._transform, self.extracts(batch))
        return self._made(batch, {**extracts, constants.PREDICTIONS_KEY: predictions})

    def _rows(self, batch: pa.RecordBatch, extracts: dict[str, Any]) -> Rows:
        return self._made(batch, self._call(self._predict, self._call(self._transform, extracts)))

    def _made(self, batch: pa.RecordBatch, extracts: dict[str, Any]) -> Rows:
        transformed = extracts[constants.TRANSFORMED_FEATURES_KEY] or {}
        by_model = [transformed] if len(self._specs) == 1 else [transformed.get(s.name, {}) for s in self._specs]
        return Rows(
            batch,
            [features for features in by_model if features],
            self._values(batch, extracts, "label_key", "label_keys"),
            extracts[constants.PREDICTIONS_KEY],
            self._values(batch, extracts, "example_weight_key", "example_weight_keys"),
        )

    def _values(self, batch: pa.RecordBatch, extracts: dict[str, Any], field: str, plural: str) -> Any:
        made = set[str]().union(*_leaves(extracts[constants.TRANSFORMED_FEATURES_KEY] or {}))
        there = made | set(batch.schema.names)
        for key in _named(self._specs, field, plural):
            if key in there - made - set(_with_values(batch)):
                _require_present(np.ones(batch.num_rows, bool), key)
            if key not in there:
                raise UserError(
                    f"the {field.replace('_key', '').replace('_', ' ')} {key!r} (eval_config.model_specs, {field}) "
                    "is neither a column of the examples nor returned by a preprocessing function",
                    fix=f"the columns there are: {', '.join(sorted(there))}",
                )
        values = model_util.get_feature_values_for_model_spec_field(self._specs, field, plural, extracts, True)
        return _dense(values, batch.num_rows, ", ".join(sorted(_named(self._specs, field, plural))))

    def _call(self, signatures: model_util.ModelSignaturesDoFn, extracts: dict[str, Any]) -> dict[str, Any]:
        try:
            result: dict[str, Any] = signatures.process(extracts)[0]
        except Exception as error:
            cause = error.__cause__ or error
            if isinstance(cause, MemoryError | tf.errors.ResourceExhaustedError):
                raise ServiceError(f"out of memory in a call of a model: {str(cause)[:500]}") from error
            which = "the candidate" if len(self._specs) == 1 else "a model"
            raise UserError(
                f"{which} cannot be called on the examples: {str(cause)[:500]}",
                fix="compare the inputs of the signature that eval_config names with the columns of the examples",
            ) from error
        return result

    def _signatures(self, output: str, names: dict[str, list[str]], **settings: Any) -> model_util.ModelSignaturesDoFn:
        signatures = model_util.ModelSignaturesDoFn(
            self._specs, self._models, output_keypath=[output], signature_names=names, **settings
        )
        signatures.setup()
        return signatures

    def _inputs(self, columns: list[str]) -> tuple[set[str], set[str]]:
        """The columns that models take as tensors, and the inputs that take serialized examples instead.

        An input whose name is not known is the empty string.
        """
        tensors, serialized = set[str](), set[str]()
        for spec in self._specs:
            for name in [spec.signature_name, *self._functions(spec)]:
                function, _, feature = name.partition("@")
                specs = model_util.get_input_specs(self._loaded(spec), function, required=False) or {}
                taken = [feature] if feature else list(specs)
                found = model_util.filter_by_input_names({column: column for column in columns}, taken)
                tensors |= set((found or {}).values())
                if found is None:
                    serialized.add(taken[0] if len(taken) == 1 and _takes_text(specs, taken[0]) else "")
        return tensors, serialized

    def _keys(self) -> set[str]:
        return _named(self._specs, "label_key", "label_keys") | _named(
            self._specs, "example_weight_key", "example_weight_keys"
        )

    def _functions(self, spec: config_pb2.ModelSpec) -> list[str]:
        """The preprocessing functions that the config names, else those of TFMA's default names that the model has."""
        defaults = PREPROCESSING_SIGNATURES
        there = [name for name in defaults if model_util.get_callable(self._loaded(spec), name, required=False)]
        return list(spec.preprocessing_function_names) or there

    def _loaded(self, spec: config_pb2.ModelSpec) -> Any:
        return self._models[self._name(spec)].model_loader.load()

    def _name(self, spec: config_pb2.ModelSpec) -> str:
        return spec.name if len(self._specs) > 1 else ""


def _with_values(batch: pa.RecordBatch) -> list[str]:
    """The columns that have a type: a column without any value has none."""
    return [field.name for field in batch.schema if not pa.types.is_null(field.type)]


def described(value: Any) -> str:
    """The types and shapes of labels or predictions."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name!r}: {described(inner)}" for name, inner in value.items())
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    each = " x ".join(map(str, value.shape[1:])) or "one"
    return f"{'text' if value.dtype.kind in 'OSU' else value.dtype}, {each} a row"


def _named(specs: list[config_pb2.ModelSpec], field: str, plural: str) -> set[str]:
    names = {key for spec in specs for key in [getattr(spec, field), *getattr(spec, plural).values()]}
    return names - {""}


def _takes_text(specs: Mapping[str, Any], name: str) -> bool:
    return name in specs and specs[name].dtype == "string"


def _leaves(value: Mapping[str, Any]) -> Iterator[set[str]]:
    """The names of transformed features, which are grouped by model if there are several."""
    yield set(value)
    for inner in value.values():
        if isinstance(inner, Mapping):
            yield set(inner)


def _dense(value: Any, rows: int, name: str) -> Any:
    """Labels or weights as arrays with a value for each row.

    Raises:
        DataError: Some rows have none.
        IndirectError: Rows have different numbers of values.
    """
    if isinstance(value, Mapping):
        return {key: _dense(inner, rows, name) for key, inner in value.items()}
    if isinstance(value, types.VarLenTensorValue):
        counts = np.bincount(value.indices[:, 0], minlength=rows)
        _require_present(counts == 0, name)
        if counts.max() > 1:
            raise IndirectError(f"{name} with a varying number of values a row")
        return value.values.reshape(rows, 1)
    if isinstance(value, np.ndarray) and value.dtype == object:
        _require_present(np.equal(value, None), name)
    if value is not None and not isinstance(value, np.ndarray):
        raise IndirectError(f"{name} as {type(value).__name__}")
    return value


def _require_present(missing: NDArray[Any], name: str) -> None:
    if missing.any():
        raise DataError(
            f"{name} is missing in {missing.sum()} of {len(missing)} rows (first: {missing.argmax()}) of a batch",
            fix="evaluate on rows that have it",
        )


def _ahead(items: Iterator[Any]) -> Iterator[Any]:
    """The items, each computed in a thread while the one before it is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item
