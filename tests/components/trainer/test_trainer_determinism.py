"""The stage `trainer` with a seed gives the same random numbers, the same order of rows and the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
import tf_keras
from google.protobuf import text_format
from tensorflow.python.framework import config
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio.dataset_options import RecordBatchesOptions, TensorFlowDatasetOptions

from components.contract.artifacts import Examples
from components.contract.digests import file_digests
from components.contract.errors import UserError
from components.data.examples import PARQUET, TF_EXAMPLE
from components.trainer.arguments import fn_args
from components.trainer.determinism import deterministic_training, set_seeds
from tests.components.trainer.test_trainer import SCHEMA, Train, train, write_examples

__all__ = ["train"]  # the fixture
# Imported first, because libraries draw random numbers while they are imported.
LOADED = (keras, tf_keras)

ROOT = Path(__file__).parents[3]

DRAWS = """
import pathlib
import random
import numpy as np
import keras, tf_keras

def draw():
    legacy = tf_keras.layers.Dense(1)
    legacy.build((1, 1))
    layer = keras.layers.Dense(1)
    layer.build((1, 1))
    layers = [float(each.kernel.numpy()[0, 0]) for each in (legacy, layer)]
    return [random.random(), float(np.random.rand()), float(tf.random.uniform([])), *layers]

ON_IMPORT = draw()

def run_fn(fn_args):
    pathlib.Path(fn_args.serving_model_dir + ".json").write_text(json.dumps([ON_IMPORT, draw()]))
    save(1.0, fn_args)
"""

WITH_DROPOUT = """
import tensorflow as tf

WORDS = {"fare", "miles", "seconds", "company"}

def run_fn(fn_args):
    for number in range((fn_args.custom_config or {}).get("functions", 0)):
        tf.function(lambda x: x + 1)(tf.constant(number))
    layers = tf.keras.layers
    model = tf.keras.Sequential([layers.Dense(8), layers.Dropout(0.5), layers.Dense(len(WORDS)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.words = list(WORDS)
    x = tf.random.uniform([64, 3])
    data = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).shuffle(64).map(lambda x, y: (x, y), 2).batch(8)
    model.fit(data, epochs=2, verbose=0, callbacks=[tf.keras.callbacks.TensorBoard(fn_args.model_run_dir)])
    tf.saved_model.save(model, fn_args.serving_model_dir)
"""


def draws(outputs: dict[str, Any]) -> list[list[float]]:
    return list(json.loads((outputs["model"].path / "Format-Serving.json").read_text()))


def test_all_random_generators_are_seeded_before_the_import_and_the_call(train: Train) -> None:
    one, same, other = (
        draws(train(DRAWS, folder=folder, seed=seed)) for folder, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert one == same
    for when in (0, 1):
        assert not set(one[when]) & set(other[when])


def rows(examples: Examples, folder: Path, order: int, **options: Any) -> Iterator[list[int]]:
    """The rows of a split as a seeded module gets them: from the dataset, and as record batches."""
    reader = fn_args_of(examples, folder).data_accessor
    files = [str(examples.path / "Split-train/*"), str(examples.path / "Split-more/*")]
    schema = text_format.Parse(SCHEMA, schema_pb2.Schema())
    set_seeds(order)
    with deterministic_training(True):
        dataset = reader.tf_dataset_factory(files, TensorFlowDatasetOptions(1, num_epochs=4, **options), schema)
        yield [int(batch["x"][0]) for batch in dataset]
    batches = reader.record_batch_factory(files, RecordBatchesOptions(1, num_epochs=4), None)
    yield [batch["x"][0].as_py()[0] for batch in batches]


def fn_args_of(examples: Examples, folder: Path) -> Any:
    from components.contract.artifacts import Model, ModelRun

    given = dict.fromkeys(("transform_graph", "schema", "base_model", "hyperparameters"))
    splits: dict[str, Any] = {"train_splits": [], "eval_splits": [], "custom_config": {}}
    model, run = Model(folder / "model"), ModelRun(folder / "run")
    return fn_args(examples=examples, model=model, model_run=run, **given, train_steps=0, eval_steps=0, **splits)


@pytest.mark.parametrize("payload_format", [PARQUET, TF_EXAMPLE])
def test_the_seed_fixes_the_order_of_the_input(tmp_path: Path, payload_format: str) -> None:
    examples = write_examples(tmp_path / "examples", payload_format)
    loose = {"sloppy_ordering": True, "parser_num_threads": 2, "prefetch_buffer_size": 3}
    one = list(rows(examples, tmp_path, 3))
    assert [sorted(order) for order in one] == [sorted([1, 2, 3, 4, 5] * 4)] * 2
    assert list(rows(examples, tmp_path, 3, **loose)) == one
    assert all(order != first for order, first in zip(rows(examples, tmp_path, 4), one, strict=True))


def trained(folder: Path, **parameters: Any) -> dict[str, Any]:
    """The metadata of the stage's outputs; it runs in a separate process."""
    examples = write_examples(folder / "examples")
    (folder / "user.py").write_text(WITH_DROPOUT)
    names = ("model", "model_run")
    document = {
        "inputs": {
            "parameterValues": {"module": str(folder / "user.py"), **parameters},
            "artifacts": {"examples": {"artifacts": [{"uri": str(examples.path), "metadata": examples.metadata}]}},
        },
        "outputs": {
            "artifacts": {name: {"artifacts": [{"uri": str(folder / name), "metadata": {}}]} for name in names},
            "outputFile": str(folder / "output.json"),
        },
    }
    command = [sys.executable, "-m", "components", "trainer", "--executor-input", json.dumps(document)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    output = json.loads((folder / "output.json").read_text())
    return {name: output["artifacts"][name]["artifacts"][0]["metadata"] for name in names}


@pytest.mark.slow
def test_two_trainings_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "another").mkdir()
    one = trained(tmp_path / "a")
    other = trained(tmp_path / "another", custom_config={"functions": 5})
    for name in ("model", "model_run"):
        assert file_digests(tmp_path / "a" / name, _content) == file_digests(tmp_path / "another" / name, _content)
        assert one[name]["digest"] == other[name]["digest"]
        assert one[name]["deterministic"] == other[name]["deterministic"] == 1
        assert "not_deterministic" not in one[name]


def _content(path: Path) -> str:
    return "" if path.name == "provenance.json" else str(hash(path.read_bytes()))


def test_outputs_that_are_not_reproducible_are_reported(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
    import pathlib

    def run_fn(fn_args):
        folder = pathlib.Path(fn_args.serving_model_dir)
        served = tf.Module()
        served.home = fn_args.model_run_dir
        served.f = tf.function(lambda: tf.constant(fn_args.model_run_dir), input_signature=[])
        tf.saved_model.save(served, str(folder), signatures=served.f)
        (folder / "columns.json").write_text("[1]")
        broken = folder.parent / "Format-TFMA"
        broken.mkdir()
        (broken / "saved_model.pb").write_bytes(b"not one")
        pathlib.Path(fn_args.model_run_dir, "notes.txt").write_text("mine")
    """
    outputs = train(code)
    message = outputs["model"].metadata["not_deterministic"]
    assert outputs["model"].metadata["deterministic"] == 0
    assert "Format-Serving/columns.json: as the module wrote them" in message
    assert "Format-Serving/saved_model.pb names " in message
    assert "Format-TFMA is as the module wrote it: saved_model.pb is not a SavedModel" in message
    assert outputs["model_run"].metadata["not_deterministic"].endswith("notes.txt: as the module wrote them")


def test_determinism_can_be_switched_off(train: Train) -> None:
    code = """
    def run_fn(fn_args):
        with tf.summary.create_file_writer(fn_args.model_run_dir).as_default():
            tf.summary.scalar("loss", 0.5, step=1)
        tf.random.Generator.from_non_deterministic_state()
        save(1.0, fn_args)
    """
    outputs = train(code, deterministic=False)
    assert outputs["model"].metadata["deterministic"] == 0
    assert outputs["model"].metadata["not_deterministic"] == "deterministic is off"
    assert not list(outputs["model_run"].path.glob("*.taxiway*"))


def test_nondeterministic_operations_fail_with_a_fix(train: Train) -> None:
    code = "def run_fn(fn_args): tf.random.Generator.from_non_deterministic_state()"
    before = FuncGraph.variables
    with pytest.raises(UserError, match=r"(.|\n)*determinis(.|\n)*\n  fix: .* or set deterministic=False"):
        train(code)
    assert not config.is_op_determinism_enabled()
    assert FuncGraph.variables is before


def test_an_invalid_seed_is_refused(train: Train) -> None:
    with pytest.raises(UserError, match=r"the seed is -1\n  fix: give a number from 0 to 4294967295"):
        train("def run_fn(fn_args): pass", seed=-1)


def test_functions_list_their_variables_in_creation_order() -> None:
    variables = [tf.Variable(float(number)) for number in range(20)]
    with deterministic_training(True):
        function = tf.function(lambda: tf.add_n(variables[::-1])).get_concrete_function()
    assert [float(variable) for variable in function.variables] == list(range(20))
