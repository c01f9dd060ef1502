"""The section on training shows TensorBoard's logs and the SavedModel."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from components.contract.artifacts import Model, ModelRun
from components.execution import provenance
from components.reports.model import training
from components.reports.ran import Ran
from components.reports.readers import saved_models, training_logs
from components.reports.readers.protos import event_pb2, saved_model_pb2, types_pb2
from tests.components.reports.model.evaluations import write
from tests.components.reports.model.pages import HOSTILE, TURNED, cells, require_harmless, text
from tests.components.trainer.test_trainer import Train, train

__all__ = ["train"]

EVENTS = "events.out.tfevents.0000000000.taxiway.v2"
MODULE = """
import tensorflow as tf

def run_fn(fn_args):
    inputs = tf.keras.Input([3], name="x")
    hidden = tf.keras.layers.Dense(4, activation="relu", name="hidden")(inputs)
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(1, name="price")(hidden))
    model.compile(loss="mse")
    x, y = tf.ones([8, 3]), tf.ones([8, 1])
    logs = tf.keras.callbacks.TensorBoard(fn_args.model_run_dir, write_graph=True)
    model.fit(x, y, validation_data=(x, y), epochs=3, callbacks=[logs], verbose=0)
    model.save(fn_args.serving_model_dir, save_format="tf")
"""


def scalar(tag: str, step: int, value: float, *, packed: bool = True) -> Any:
    """A scalar event in the format of TensorFlow 2 or of TensorFlow 1."""
    if not packed:
        return event_pb2.Event(step=step, summary={"value": [{"tag": tag, "simple_value": value}]})
    tensor = {"dtype": types_pb2.DT_FLOAT, "tensor_shape": {}, "tensor_content": struct.pack("<f", value)}
    return event_pb2.Event(step=step, summary={"value": [{"tag": tag, "tensor": tensor}]})


def model_run(folder: Path, **runs: list[Any]) -> ModelRun:
    for name, events in runs.items():
        (folder / name).mkdir(parents=True)
        write(folder / name / EVENTS, [event_pb2.Event(file_version="brain.Event:2"), *events])
    return ModelRun(folder)


def saved_model(folder: Path, signature: str = "serving_default", **tensors: int) -> Model:
    message = saved_model_pb2.SavedModel()
    graph = message.meta_graphs.add(meta_info_def={"tags": ["serve"], "tensorflow_version": "2.21.0"})
    for name, dtype in tensors.items():
        graph.signature_def[signature].inputs[name].dtype = dtype
        graph.signature_def[signature].inputs[name].tensor_shape.dim.add(size=-1)
    graph.signature_def["__saved_model_init_op"].outputs["x"].name = "NoOp"
    kernel = graph.object_graph_def.nodes.add().variable
    kernel.name, kernel.trainable, kernel.dtype = "dense/kernel", True, types_pb2.DT_FLOAT
    kernel.shape.dim.add(size=91)
    kernel.shape.dim.add(size=64)
    graph.object_graph_def.nodes.add().variable.name = "Adam/m/dense/kernel"
    (folder / "Format-Serving/variables").mkdir(parents=True)
    (folder / "Format-Serving/saved_model.pb").write_bytes(message.SerializeToString())
    (folder / "Format-Serving/variables/variables.index").write_bytes(b"x" * 2000)
    return Model(folder)


def test_logs_and_model_of_keras_are_shown(train: Train) -> None:
    outputs = train(MODULE, seed=3)
    model, run = outputs["model"], outputs["model_run"]

    section = training.section(model, run, ran=Ran((), 75.0, 60.0, 512.0))

    logs, saved = training_logs.read(run.path), saved_models.read(model.path / "Format-Serving")
    losses = logs.scalars["epoch_loss"]
    assert {name: sorted(values) for name, values in losses.items()} == {"train": [0, 1, 2], "validation": [0, 1, 2]}
    assert [(layer.name, layer.kind, layer.inputs) for layer in logs.layers] == [
        ("x", "InputLayer", []),
        ("hidden", "Dense", ["x"]),
        ("price", "Dense", ["hidden"]),
    ]
    assert saved.parameters == 3 * 4 + 4 + 4 + 1
    assert section.summary.startswith(
        "Training took 1 min 15 s and made a model with 21 parameters. The loss ended at "
    )
    assert cells(section, "hidden") == ["Dense", "units 4, activation relu", "kernel [3, 4], bias [4]", "16"]
    shown = text(section)
    assert "loss by epoch" in shown
    assert "512 MB" in shown
    assert f"tensorboard --logdir {run.path}" in shown
    assert ("the same inputs give the same bytes" in shown) == bool(model.metadata["deterministic"])


def test_events_of_tensorflow_1_and_2_are_read(tmp_path: Path) -> None:
    run = model_run(
        tmp_path,
        train=[scalar("loss", 20, 0.25), scalar("loss", 10, 0.5), scalar("loss", 10, 0.75)],
        eval=[scalar("loss", 20, 0.5, packed=False), scalar("auc", 20, 1.0, packed=False)],
    )

    logs = training_logs.read(run.path)

    assert logs.scalars == {"loss": {"train": {20: 0.25, 10: 0.75}, "eval": {20: 0.5}}, "auc": {"eval": {20: 1.0}}}
    section = training.section(None, run)
    assert section.summary == "The loss ended at 0.5 (eval) and 0.25 (train)."
    assert "loss by step" in text(section)
    assert "auc by step" not in text(section)
    assert cells(section, "auc") == ["1", "–", "step 20"]


def test_several_logs_directly_in_the_folder_are_read(tmp_path: Path) -> None:
    write(tmp_path / EVENTS, [scalar("batch_loss", 1, 0.5), scalar("batch_loss", 2, 0.25)])

    assert list(training_logs.read(tmp_path).scalars["batch_loss"]) == ["training"]


def test_a_metric_with_one_value_is_a_table_row(tmp_path: Path) -> None:
    run = model_run(tmp_path, train=[scalar("epoch_loss", 0, 0.25)])

    section = training.section(None, run)

    assert "<svg" not in section.body
    assert cells(section, "loss") == ["0.25", "epoch 0"]


def test_the_page_stays_small_with_hundreds_of_long_curves(tmp_path: Path) -> None:
    events = [scalar(f"tag {tag}", step, step / 7 + tag) for tag in range(100) for step in range(600)]

    section = training.section(None, model_run(tmp_path, train=events))

    assert len(section.body) < 500_000
    assert "24 more curves" in text(section)
    assert "68 curves more in TensorBoard." in text(section)


def test_a_damaged_log_is_read_up_to_the_damage(tmp_path: Path) -> None:
    run = model_run(tmp_path, train=[scalar("loss", 1, 0.5), scalar("loss", 2, 0.25), scalar("loss", 3, 0.125)])
    file = run.path / "train" / EVENTS
    file.write_bytes(file.read_bytes()[:-3])

    section = training.section(None, run)

    assert training_logs.read(run.path).scalars["loss"]["train"] == {1: 0.5, 2: 0.25}
    assert f"A log is shown up to where it is damaged: {file} is damaged at record 4" in text(section)


def test_only_signatures_that_clients_call_are_shown(tmp_path: Path) -> None:
    model = saved_model(tmp_path, fare=types_pb2.DT_FLOAT, company=types_pb2.DT_STRING)

    section = training.section(model, None)

    assert cells(section, "fare") == ["input", "float", "[?]"]
    assert cells(section, "company") == ["input", "string", "[?]"]
    assert "init_op" not in text(section)
    assert cells(section, "dense") == ["–", "–", "kernel [91, 64]", "5,824"]
    saved = saved_models.read(model.path / "Format-Serving")
    assert saved.bytes_by_part["variables"] == 2000
    assert saved.parameters == 91 * 64


def test_parameters_come_from_the_provenance_record(tmp_path: Path) -> None:
    model = saved_model(tmp_path, x=types_pb2.DT_FLOAT)
    record = {
        "digest": "sha256:1",
        "type": "Model",
        "output": "model",
        "stage": "trainer",
        "parameters": {"train_steps": 200, "custom_config": {"depth": 3}, "eval_splits": [], "module": "taxi.model"},
        "inputs": {},
        "created": "2026-01-01T00:00:00+00:00",
        "code": {
            "modules": {"module": {"name": "taxi.model", "function": "run_fn", "digest": "sha256:67ede506e260e1"}}
        },
        "deterministic": 0,
        "not_deterministic": "deterministic is off",
    }
    provenance.write_chain(model.path, [record])

    shown = text(training.section(model, None))

    assert "train_steps 200" in shown.replace("\n", " ")
    assert '{"depth": 3}' in shown
    assert "eval_splits" not in shown
    assert "67ede506e260" in shown
    assert "no: deterministic is off" in shown


def test_untrusted_names_are_escaped(tmp_path: Path) -> None:
    keras = {"class_name": "Functional", "config": {"layers": [{"class_name": HOSTILE, "name": TURNED, "config": {}}]}}
    config = {"dtype": types_pb2.DT_STRING, "string_val": [json.dumps(keras).encode()]}
    logged = event_pb2.Event(summary={"value": [{"tag": "keras", "tensor": config}]})
    logged.summary.value[0].metadata.plugin_data.plugin_name = "graph_keras_model"
    run = model_run(tmp_path / "run", **{"a b": [scalar(HOSTILE, 1, 0.5), scalar(HOSTILE, 2, 0.5), logged]})
    model = saved_model(tmp_path / "model", HOSTILE, **{TURNED: types_pb2.DT_FLOAT})

    section = training.section(model, run)

    require_harmless(section)
    assert HOSTILE in text(section)
    assert f"tensorboard --logdir {tmp_path / 'run'}" in text(section)


@pytest.mark.parametrize("content", [None, b"", b"\0\1damaged"])
def test_a_damaged_model_is_reported_in_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    run = model_run(tmp_path / "run", train=[scalar("loss", 1, 0.5)])
    (tmp_path / "model/Format-Serving").mkdir(parents=True)
    if content is not None:
        (tmp_path / "model/Format-Serving/saved_model.pb").write_bytes(content)

    section = training.section(Model(tmp_path / "model"), run)

    assert "The model cannot be shown: " in text(section)
    assert section.summary == "The loss ended at 0.5 (train)."


def test_missing_files_are_reported_in_a_sentence() -> None:
    section = training.section(None, None)

    assert section.summary == "What training made cannot be read."
    assert "Nothing was logged." in text(section)


@pytest.mark.parametrize(
    "config", [b"[", b"{}", b'{"config": {"layers": [1]}}', b'{"config": {"layers": {"a": 1}}}', b"\xff"]
)
def test_a_damaged_layer_config_is_skipped(tmp_path: Path, config: bytes) -> None:
    logged = scalar("loss", 1, 0.5)
    value = logged.summary.value.add(tag="keras", tensor={"dtype": types_pb2.DT_STRING, "string_val": [config]})
    value.metadata.plugin_data.plugin_name = "graph_keras_model"

    assert training_logs.read(model_run(tmp_path, train=[logged]).path).layers == []


def test_layer_inputs_are_read_in_both_keras_formats() -> None:
    older = {"inbound_nodes": [[["a", 0, 0, {}], ["b", 0, 0, {}]]]}
    newer = {
        "inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["a", 0, 0]}}]}]
    }

    assert list(training_logs._inputs(older)) == ["a", "b"]
    assert list(training_logs._inputs(newer)) == ["a"]
