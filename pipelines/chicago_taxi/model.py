"""Will the passenger tip more than a fifth of the fare? A wide and deep model of the Chicago taxi trips.

TFX expects two functions in a module. `preprocessing_fn` turns raw columns into features, and is saved with the model,
so that training and serving cannot differ. `run_fn` trains the model and saves it.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.tfxio.dataset_options import TensorFlowDatasetOptions

from taxiway.dsl import FnArgs

LABEL = "tips_xf"
NUMBERS = ["trip_miles", "trip_seconds", "fare"]
COORDINATES = ["pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude"]
WORDS = ["payment_type", "company"]
CODES = {  # with the number of values of each
    "trip_start_hour": 24,
    "trip_start_day": 8,
    "trip_start_month": 13,
    "pickup_community_area": 78,
    "dropoff_community_area": 78,
}

BUCKETS = 10
VOCABULARY = 200
RARE_WORDS = 5
CATEGORIES = dict.fromkeys(COORDINATES, BUCKETS) | dict.fromkeys(WORDS, VOCABULARY + RARE_WORDS) | CODES

SETTINGS = {"seed": 1, "steps": 1000, "batch_size": 40, "learning_rate": 0.002, "hidden_units": [64, 32]}
"""A tuner's hyperparameters and the pipeline's `custom_config` override these."""


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Turns raw columns into features: scales numbers, and maps everything else to the index of a category."""
    raw = {name: _filled(column) for name, column in inputs.items()}
    fare, tips = _float(raw["fare"]), _float(raw["tips"])

    features = {name: tft.scale_to_z_score(tf.math.log1p(tf.nn.relu(_float(raw[name])))) for name in NUMBERS}
    features |= {name: tft.bucketize(raw[name], BUCKETS) for name in COORDINATES}
    features |= {
        name: tft.compute_and_apply_vocabulary(raw[name], top_k=VOCABULARY, num_oov_buckets=RARE_WORDS)
        for name in WORDS
    }
    features |= {name: tf.clip_by_value(raw[name], 0, count - 1) for name, count in CODES.items()}
    return {_transformed(name): feature for name, feature in features.items()} | {
        LABEL: tf.cast(tips > 0.2 * fare, tf.int64)
    }


def _filled(column: Any) -> tf.Tensor:
    """One value per row, `[rows]`; 0 or "" if the row has none."""
    if isinstance(column, tf.SparseTensor):
        one_per_row = tf.SparseTensor(column.indices, column.values, [column.dense_shape[0], 1])
        column = tf.sparse.to_dense(one_per_row, "" if column.dtype == tf.string else 0)
    return tf.reshape(column, [-1])


def _float(column: tf.Tensor) -> tf.Tensor:
    return tf.cast(column, tf.float32)


def _transformed(name: str) -> str:
    """The name of a feature, which differs from its raw column: evaluations slice by the raw columns."""
    return f"{name}_xf"


def run_fn(fn_args: FnArgs) -> None:
    """Trains the model on the transformed examples and saves it."""
    settings = SETTINGS | (fn_args.hyperparameters or {}).get("values", {}) | (fn_args.custom_config or {})
    tf.keras.utils.set_random_seed(settings["seed"])
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)

    model = build_model(settings)
    if fn_args.base_model:
        tf.train.Checkpoint(model=model).restore(fn_args.base_model).expect_partial()

    def batches(files: list[str], epochs: int | None) -> tf.data.Dataset:
        options = TensorFlowDatasetOptions(settings["batch_size"], num_epochs=epochs, label_key=LABEL)
        return fn_args.data_accessor.tf_dataset_factory(files, options, transform.transformed_metadata.schema)

    model.fit(
        batches(fn_args.train_files, epochs=None),
        steps_per_epoch=fn_args.train_steps or settings["steps"],
        validation_data=batches(fn_args.eval_files, epochs=1).take(fn_args.eval_steps or -1),
        callbacks=[tf.keras.callbacks.TensorBoard(fn_args.model_run_dir)],
        verbose=2,
    )
    served = ServedModel(model, transform)
    tf.saved_model.save(served, fn_args.serving_model_dir, signatures=served.signatures())


def build_model(settings: dict[str, Any]) -> tf.keras.Model:
    """A wide and deep model: a linear part that memorizes categories, and a network that generalizes."""
    layers = tf.keras.layers
    numbers = {name: layers.Input((), name=_transformed(name)) for name in NUMBERS}
    categories = {name: layers.Input((), name=_transformed(name), dtype="int64") for name in CATEGORIES}

    def embedded(size: int) -> list[Any]:
        return [layers.Embedding(CATEGORIES[name], size)(category) for name, category in categories.items()]

    deep = layers.Concatenate()([layers.Reshape((1,))(number) for number in numbers.values()] + embedded(8))
    for units in settings["hidden_units"]:
        deep = layers.Dense(units, activation="relu")(deep)
    wide = layers.Add()(embedded(1))
    probability = layers.Activation("sigmoid")(layers.Add()([wide, layers.Dense(1)(deep)]))

    inputs = {_transformed(name): layer for name, layer in (numbers | categories).items()}
    model = tf.keras.Model(inputs, probability)
    model.compile(
        tf.keras.optimizers.Adam(settings["learning_rate"]),
        loss="binary_crossentropy",
        metrics=["binary_accuracy", tf.keras.metrics.AUC(name="auc")],
    )
    return model


class ServedModel(tf.Module):
    """The model as it is saved, together with the transform graph."""

    def __init__(self, model: tf.keras.Model, transform: tft.TFTransformOutput) -> None:
        super().__init__()
        self.model = model
        self.transform = transform.transform_features_layer()
        self.columns = transform.raw_feature_spec()
        self.unlabelled = {name: column for name, column in self.columns.items() if name != "tips"}

    def signatures(self) -> dict[str, Any]:
        """Probabilities for serialized tf.Examples and for plain columns; features and labels for the evaluator."""
        examples = tf.TensorSpec([None], tf.string, name="examples")
        columns = {name: tf.TensorSpec([None], column.dtype, name) for name, column in self.unlabelled.items()}
        return {
            "serving_default": tf.function(self.predict_examples, [examples]),
            "predict_columns": tf.function(self.predict_columns, [columns]),
            "transform_features": tf.function(self.transform_examples, [examples]),
        }

    def predict_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """The probability of a big tip for serialized tf.Examples."""
        return self._predict(tf.io.parse_example(examples, self.unlabelled))

    def predict_columns(self, columns: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The same for one tensor per column, `[rows]`, as in JSON requests; 0 and "" stand for missing values."""
        return self._predict({name: self._as_parsed(name, values) for name, values in columns.items()})

    def transform_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """The features and the label of serialized tf.Examples."""
        features: dict[str, tf.Tensor] = self.transform(tf.io.parse_example(examples, self.columns))
        return features

    def _predict(self, columns: dict[str, Any]) -> dict[str, tf.Tensor]:
        features = self.transform(columns)
        return {"probability": self.model({name: features[name] for name in self.model.input})}

    def _as_parsed(self, name: str, values: tf.Tensor) -> Any:
        fixed = isinstance(self.columns[name], tf.io.FixedLenFeature)
        return tf.reshape(values, [-1, *self.columns[name].shape]) if fixed else tf.sparse.from_dense(values[:, None])
