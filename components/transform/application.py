"""A saved transform graph applied to rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import tensorflow_transform as tft
from tensorflow_transform import impl_helper
from tensorflow_transform.saved import saved_transform_io_v2
from tfx_bsl.coders import example_coder

from components.transform.raw_examples import RawExamples, TensorBatch
from components.transform.tracing import evaluated


class Transform:
    """A saved transform as a function of the tensors that some raw examples have."""

    def __init__(self, graph: Path, raw: RawExamples) -> None:
        """Loads the graph of a TransformGraph's folder, for the tensors that `raw` reads."""
        output = tft.TFTransformOutput(str(graph))
        schema = output.transformed_metadata.schema
        self._model = saved_transform_io_v2.SavedModelLoader(output.transform_savedmodel_dir)
        self._model.finalize(list(raw.read_specs), list(self._model.structured_outputs))
        self._converter = impl_helper.make_tensor_to_arrow_converter(schema)
        self._encoder = example_coder.RecordBatchToExamplesEncoder(schema)
        self._decoder = example_coder.ExamplesToRecordBatchDecoder(schema.SerializeToString())

    def __call__(self, batch: TensorBatch) -> pa.RecordBatch:
        """The transformed rows: a column an output, as TFT gives them to TFDV; ragged outputs may be nested lists."""
        return self._converter.convert(evaluated(self._model.apply_transform_model, batch))

    def as_features(self, transformed: pa.RecordBatch) -> pa.RecordBatch:
        """The same rows in the form of tf.Example: a nested list as its flat values, with row lengths beside them."""
        if not any(pa.types.is_large_list(column.type.value_type) for column in transformed.columns):
            return transformed
        return self._decoder.DecodeBatch(self._encoder.encode(transformed))
