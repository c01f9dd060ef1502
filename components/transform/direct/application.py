"""A saved transform graph applied to rows."""

from __future__ import annotations

import functools
from pathlib import Path

import pyarrow as pa
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.saved import saved_transform_io_v2
from tfx_bsl.coders import example_coder

from components.transform.direct.tracing import evaluated
from components.transform.raw_examples import RawExamples, TensorBatch
from components.upstream.tft import make_tensor_to_arrow_converter


class FeatureForm:
    """Transformed rows in the form of tf.Example: a nested list as its flat values, with row lengths beside them."""

    def __init__(self, schema: schema_pb2.Schema) -> None:
        """Takes the schema of the transformed rows."""
        self._schema = schema

    def __call__(self, transformed: pa.RecordBatch) -> pa.RecordBatch:
        """The same rows in that form."""
        if not any(pa.types.is_large_list(column.type.value_type) for column in transformed.columns):
            return transformed
        encoder, decoder = self._coders
        return decoder.DecodeBatch(encoder.encode(transformed))

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns in that form."""
        transformed = make_tensor_to_arrow_converter(self._schema).arrow_schema()
        return self(pa.RecordBatch.from_pylist([], transformed)).schema

    @functools.cached_property
    def _coders(
        self,
    ) -> tuple[example_coder.RecordBatchToExamplesEncoder, example_coder.ExamplesToRecordBatchDecoder]:
        serialized = self._schema.SerializeToString()
        return (
            example_coder.RecordBatchToExamplesEncoder(self._schema),
            example_coder.ExamplesToRecordBatchDecoder(serialized),
        )

    def __reduce__(self) -> tuple[type[FeatureForm], tuple[schema_pb2.Schema]]:
        # The coders belong to the process.
        return FeatureForm, (self._schema,)


class Transform:
    """A saved transform as a function of the tensors that some raw examples have."""

    def __init__(self, graph: Path, raw: RawExamples) -> None:
        """Loads the graph of a TransformGraph's folder, for the tensors that `raw` reads."""
        output = tft.TFTransformOutput(str(graph))
        schema = output.transformed_metadata.schema
        self._model = saved_transform_io_v2.SavedModelLoader(output.transform_savedmodel_dir)
        self._model.finalize(list(raw.read_specs), list(self._model.structured_outputs))
        self._converter = make_tensor_to_arrow_converter(schema)
        self.as_features = FeatureForm(schema)

    def __call__(self, batch: TensorBatch) -> pa.RecordBatch:
        """The transformed rows: a column an output, as TFT gives them to TFDV; ragged outputs may be nested lists."""
        return self._converter.convert(evaluated(self._model.apply_transform_model, batch))
