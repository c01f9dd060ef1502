"""The stage `trainer`: the arguments of run_fn, and the artifacts from what it saves."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attr
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.contract.artifacts import Artifact, Examples, HyperParameters, Model, ModelRun, Schema, TransformGraph
from components.contract.errors import UserError
from components.data.examples import PARQUET, TF_EXAMPLE, SplitWriter, describe
from components.trainer.arguments import fn_args
from components.trainer.fn_args import DataAccessor, FnArgs

SPLITS = {"train": [1, 2, 3], "more": [4, 5], "eval": [6]}

SCHEMA = 'feature { name: "x" type: INT shape {} presence { min_fraction: 1 } }'

HEAD = """
import json
import tensorflow as tf
from tfx_bsl.tfxio.dataset_options import TensorFlowDatasetOptions

def save(value, fn_args):
    model = tf.Module()
    model.weight = tf.Variable(value, dtype=tf.float32)
    tf.saved_model.save(model, fn_args.serving_model_dir)
"""

Train = Callable[..., dict[str, Any]]


def write_examples(folder: Path, payload_format: str = PARQUET) -> Examples:
    examples = Examples(folder)
    for split, values in SPLITS.items():
        with SplitWriter(examples, split, payload_format) as writer:
            writer.write(pa.RecordBatch.from_pydict({"x": pa.array([[x] for x in values], pa.large_list(pa.int64()))}))
    describe(examples, list(SPLITS), payload_format)
    return examples


def write_schema(folder: Path) -> Schema:
    folder.mkdir()
    (folder / "schema.pbtxt").write_text(SCHEMA)
    return Schema(folder)


def write_hyperparameters(folder: Path, text: str) -> HyperParameters:
    folder.mkdir()
    (folder / "best_hyperparameters.txt").write_text(text)
    return HyperParameters(folder)


def weight(model: Artifact) -> float:
    return float(tf.saved_model.load(str(model.path / "Format-Serving")).weight.numpy())


@pytest.fixture
def train(run_stage: Any, tmp_path: Path) -> Train:
    """`train(code of the module, inputs, folder=..., **parameters)`: the stage's outputs."""

    def run(
        code: str, inputs: Mapping[str, Artifact] | None = None, folder: str = "out", **parameters: Any
    ) -> dict[str, Any]:
        module = tmp_path / f"user_{folder}.py"
        module.write_text(HEAD + textwrap.dedent(code))
        inputs = {"examples": write_examples(tmp_path / f"examples_{folder}"), **(inputs or {})}
        outputs: dict[str, Any] = run_stage(
            "trainer", inputs, {"module": str(module), **parameters}, folder=tmp_path / folder
        )
        return outputs

    return run


def test_the_fields_are_those_of_tfx() -> None:
    from tfx.components.trainer import fn_args_utils

    assert {f.name for f in dataclasses.fields(FnArgs)} == {a.name for a in attr.fields(fn_args_utils.FnArgs)}
    assert DataAccessor._fields == fn_args_utils.DataAccessor._fields


@pytest.mark.parametrize("everything", [True, False], ids=["everything given", "nothing given"])
def test_run_fn_gets_the_same_arguments_as_from_tfx(tmp_path: Path, everything: bool) -> None:
    examples = write_examples(tmp_path / "examples", TF_EXAMPLE)
    model, model_run = Model(tmp_path / "model"), ModelRun(tmp_path / "model_run")
    base_model = Model(tmp_path / "base")
    (base_model.path / "Format-Serving").mkdir(parents=True)
    optional = {
        "transform_graph": TransformGraph(tmp_path / "transform_graph"),
        "schema": write_schema(tmp_path / "schema"),
        "base_model": base_model,
        "hyperparameters": write_hyperparameters(tmp_path / "hyperparameters", '{"values": {"units": 3}}'),
    }
    inputs = optional if everything else dict.fromkeys(optional)
    steps = {"train_steps": 7, "eval_steps": 3} if everything else {"train_steps": 0, "eval_steps": 0}
    splits = {"train_splits": ["train", "more"] if everything else [], "eval_splits": []}
    config = {"custom_config": {"depth": [1, 2]} if everything else {}}

    ours = fn_args(examples=examples, model=model, model_run=model_run, **inputs, **steps, **splits, **config)  # type: ignore[arg-type]

    theirs = _tfx_fn_args(
        {"examples": examples, **inputs}, {"model": model, "model_run": model_run}, {**steps, **splits, **config}
    )
    assert {**vars(ours), "data_accessor": 0} == {**vars(theirs), "data_accessor": 0}
    assert [*map(callable, ours.data_accessor)] == [*map(callable, theirs.data_accessor)]


def _tfx_fn_args(inputs: Mapping[str, Any], outputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
    """The FnArgs that TFX's own trainer makes of the same artifacts."""
    from tfx.components.trainer.executor import GenericExecutor
    from tfx.types import standard_artifacts

    def artifacts(ours: Mapping[str, Artifact | None]) -> dict[str, list[Any]]:
        theirs = {}
        for name, artifact in ours.items():
            if artifact:
                theirs[name] = [getattr(standard_artifacts, artifact.type_name)()]
                theirs[name][0].uri = str(artifact.path)
                theirs[name][0].set_string_custom_property("tfx_version", "1.21.0")
                if "split_names" in artifact.metadata:
                    theirs[name][0].split_names = artifact.metadata["split_names"]
        return theirs

    properties = {
        "train_args": json.dumps({"num_steps": parameters["train_steps"], "splits": parameters["train_splits"]}),
        "eval_args": json.dumps({"num_steps": parameters["eval_steps"], "splits": parameters["eval_splits"]}),
        "custom_config": json.dumps(parameters["custom_config"] or None),
    }
    return GenericExecutor()._GetFnArgs(artifacts(inputs), artifacts(outputs), properties)


@pytest.mark.parametrize("payload_format", [PARQUET, TF_EXAMPLE])
def test_a_module_reads_either_payload_format(train: Train, tmp_path: Path, payload_format: str) -> None:
    inputs = {
        "examples": write_examples(tmp_path / "given", payload_format),
        "schema": write_schema(tmp_path / "schema"),
    }
    outputs = train(
        """
        import tensorflow_data_validation as tfdv

        def run_fn(fn_args):
            schema = tfdv.load_schema_text(fn_args.schema_path)
            options = TensorFlowDatasetOptions(batch_size=2, num_epochs=1)
            batches = fn_args.data_accessor.tf_dataset_factory(fn_args.train_files, options, schema)
            save(sum(float(tf.reduce_sum(batch["x"])) for batch in batches), fn_args)
        """,
        inputs,
        train_splits=["train", "more"],
    )
    assert weight(outputs["model"]) == sum(SPLITS["train"] + SPLITS["more"])


def test_warm_start_hyperparameters_and_config_reach_the_model(train: Train, tmp_path: Path) -> None:
    first = train("def run_fn(fn_args): save(100.0, fn_args)", folder="first")["model"]
    second = train(
        """
        def run_fn(fn_args):
            start = tf.saved_model.load(fn_args.base_model).weight
            save(start + fn_args.hyperparameters["values"]["step"] + fn_args.custom_config["bias"], fn_args)
        """,
        {"base_model": first, "hyperparameters": write_hyperparameters(tmp_path / "h", '{"values": {"step": 20}}')},
        folder="second",
        custom_config={"bias": 3},
    )["model"]
    assert weight(second) == 123


def test_an_empty_base_model_is_ignored(train: Train, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code = "def run_fn(fn_args): save(1.0 if fn_args.base_model is None else 0.0, fn_args)"
    assert weight(train(code, {"base_model": Model(tmp_path / "empty")})["model"]) == 1


def test_model_and_logs_are_where_tfx_puts_them(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = train(
        """
        def run_fn(fn_args):
            with tf.summary.create_file_writer(fn_args.model_run_dir).as_default():
                tf.summary.scalar("loss", 0.5, step=1)
            save(1.0, fn_args)
            tf.saved_model.save(tf.Module(), fn_args.eval_model_dir)
        """
    )
    assert {path.name for path in outputs["model"].path.iterdir()} >= {"Format-Serving", "Format-TFMA"}
    assert list(outputs["model_run"].path.glob("events.out.tfevents.*"))
    output = capsys.readouterr().out
    assert "trains on the CPU" in output
    assert f"saved its model to {outputs['model'].path}/Format-Serving" in output


def test_a_model_of_another_library_is_accepted(train: Train) -> None:
    outputs = train(
        """
        import pathlib

        def run_fn(fn_args):
            folder = pathlib.Path(fn_args.serving_model_dir)
            folder.mkdir()
            (folder / "model.json").write_text("[1]")
        """
    )
    assert (outputs["model"].path / "Format-Serving" / "model.json").read_text() == "[1]"


KERAS = """
def build():
    model = tf.keras.Sequential([tf.keras.layers.Input((1,)), tf.keras.layers.Dense(1)])
    model.compile(loss="mse")
    return model

def row(record):
    return [0.0], 0.0
"""


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
@pytest.mark.parametrize(
    "where",
    [
        "fn_args.serving_model_dir + '/m.keras'",
        "fn_args.serving_model_dir + '.keras'",
        "fn_args.serving_model_dir + '/m.h5'",
    ],
)
def test_a_single_keras_file_is_refused_and_the_suggested_fix_works(train: Train, tmp_path: Path, where: str) -> None:
    module = (
        f"{KERAS}\ndef run_fn(fn_args):\n    tf.io.gfile.makedirs(fn_args.serving_model_dir)\n    model = build()\n"
    )
    with pytest.raises(UserError, match=r"run_fn saved \S+\.(keras|h5), a Keras file, but no SavedModel") as raised:
        train(f"{module}    model.save({where})\n")
    assert list((tmp_path / "out").iterdir()) == []
    hint = raised.value.fix.removeprefix("end it with ").partition(";")[0]
    outputs = train(f"{module}    model.save({where})\n    {hint}\n", folder="mended")
    assert (outputs["model"].path / "Format-Serving" / "saved_model.pb").is_file()


OPENERS = {
    "dataset": "for _ in tf.data.TFRecordDataset(tf.io.gfile.glob(fn_args.train_files)): pass",
    "compressed": "list(tf.data.TFRecordDataset(tf.io.gfile.glob(fn_args.eval_files), compression_type='GZIP'))",
    "fit": "build().fit(tf.data.TFRecordDataset(tf.io.gfile.glob(fn_args.train_files)).map(row).batch(2))",
}


@pytest.mark.parametrize("opens", OPENERS.values(), ids=OPENERS)
def test_a_module_that_opens_parquet_as_records_gets_a_hint(train: Train, opens: str) -> None:
    with pytest.raises(UserError, match=r"user_out\.py raised (.|\n)*DataLossError(.|\n)*in run_fn") as raised:
        train(f"{KERAS}\ndef run_fn(fn_args):\n    {opens}\n")
    assert raised.value.fix.startswith('the examples are Parquet: set payload_format="tf_example" in ExampleGen')


def test_a_module_that_opens_record_files_reads_tf_examples(train: Train, tmp_path: Path) -> None:
    records = write_examples(tmp_path / "records", TF_EXAMPLE)
    code = """
    def run_fn(fn_args):
        files = tf.io.gfile.glob(fn_args.train_files)
        save(sum(1.0 for _ in tf.data.TFRecordDataset(files, compression_type="GZIP")), fn_args)
    """
    assert weight(train(code, {"examples": records})["model"]) == 3


def test_other_data_loss_errors_are_unchanged(train: Train) -> None:
    with pytest.raises(UserError, match="bad magic number") as raised:
        train("def run_fn(fn_args):\n    raise tf.errors.DataLossError(None, None, 'bad magic number')")
    assert raised.value.fix == ""


def test_infinities_in_a_model_are_allowed(train: Train) -> None:
    assert weight(train("def run_fn(fn_args): save(float('inf'), fn_args)")["model"]) == np.inf


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def train_fn(fn_args): pass",
            r"user_out\.py defines no run_fn\n  fix: define run_fn there \(it has .*train_fn",
        ),
        (
            "def run_fn(fn_args):\n    save([1.0, float('nan')], fn_args)",
            r"the loss became NaN: 1 of the trained model's variables hold NaN, 'weight/\S+' among them\n"
            "  fix: lower the learning rate",
        ),
        (
            "def run_fn(fn_args):\n    pass",
            r"run_fn saved no model to \S+/out/model/Format-Serving\n  fix: end it with tf.saved_model.save",
        ),
        (
            "def run_fn(fn_args):\n    save(1.0, fn_args)\n    tf.constant([1, 2]) + tf.constant([1, 2, 3])",
            r"user_out\.py raised (.|\n)*user_out\.py\", line 12, in run_fn\n"
            r"    tf\.constant\(\[1, 2\]\) \+ tf\.constant\(\[1, 2, 3\]\)$",
        ),
        (
            "def run_fn(fn_args):\n"
            "    fn_args.data_accessor.tf_dataset_factory(fn_args.train_files, TensorFlowDatasetOptions(2), None)",
            "tf_dataset_factory was called without a schema",
        ),
    ],
    ids=["no run_fn", "NaN", "no model saved", "the module raises", "our own error inside run_fn"],
)
def test_a_failure_has_a_reason_and_leaves_no_artifact(train: Train, tmp_path: Path, code: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train(code)
    assert not list((tmp_path / "out").iterdir())


def test_files_of_a_killed_run_are_ignored(train: Train, tmp_path: Path) -> None:
    (tmp_path / "out" / "model" / "Format-Serving" / "variables").mkdir(parents=True)
    with pytest.raises(UserError, match="run_fn saved no model"):
        train("def run_fn(fn_args): pass")


def test_an_unknown_split_is_refused(train: Train) -> None:
    with pytest.raises(UserError, match=r"there is no split 'test' in .*\n  fix: it has train, more, eval"):
        train("def run_fn(fn_args): pass", eval_splits=["test"])


def test_hyperparameters_that_are_not_json_are_refused(train: Train, tmp_path: Path) -> None:
    wrong = write_hyperparameters(tmp_path / "h", '{"units": }')
    with pytest.raises(UserError, match=r"h/best_hyperparameters\.txt is not JSON: Expecting value: line 1 column 11"):
        train("def run_fn(fn_args): pass", {"hyperparameters": wrong})


def test_an_artifact_without_hyperparameters_is_refused(train: Train, tmp_path: Path) -> None:
    (tmp_path / "h").mkdir()
    with pytest.raises(UserError, match=r"there is no \S+/h/best_hyperparameters\.txt"):
        train("def run_fn(fn_args): pass", {"hyperparameters": HyperParameters(tmp_path / "h")})
