"""What a version answers to its training data."""

from pathlib import Path

import pyarrow as pa

from components.data.examples import to_tfxio_form
from components.monitoring.passes.answers import answered


def test_a_column_without_any_value_is_a_missing_feature(tmp_path: Path) -> None:
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            features = {name: tf.io.FixedLenFeature([], tf.float32, -1.0) for name in ("miles", "tract")}
            parsed = tf.io.parse_example(examples, features)
            return {"sum": parsed["miles"] + parsed["tract"]}

    model = Model()
    tf.saved_model.save(model, str(tmp_path), {"serving_default": model.serve})
    batch = to_tfxio_form(pa.RecordBatch.from_pydict({"miles": pa.array([2.0, 5.0]), "tract": pa.nulls(2)}))
    [found] = answered(tmp_path, [batch])
    assert found["output_sum"].to_pylist() == [1.0, 4.0]
