"""Rewritten files are byte-for-byte reproducible, and still work as before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.core.util import event_pb2

from components.contract.digests import file_digests
from components.data import tfrecord
from components.reproducible import event_files, saved_model

# Two processes save all kinds of models first.
pytestmark = pytest.mark.slow
KINDS = (
    "keras_2",
    "keras_2_recurrent",
    "keras_2_export",
    "keras_2_words",
    "keras_2_attention",
    "keras_3_export",
    "module",
    "tensorflow_1",
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """All kinds of models, saved by two processes with different folders, set orders and counters."""
    folders = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("another_one")
    root = Path(__file__).parents[2]
    processes = []
    for seed, folder in enumerate(folders):
        command = [sys.executable, "-m", "tests.components.model_zoo", str(folder), str(7 * seed)]
        environment = {**os.environ, "PYTHONHASHSEED": str(seed + 1)}
        processes.append(subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, output = process.communicate()
        assert process.returncode == 0, output
    return folders


def rewritten(model: Path, folder: Path) -> Path:
    shutil.copytree(model, folder)
    saved_model.make_reproducible(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_models_saved_twice_have_the_same_bytes(saved: tuple[Path, Path], tmp_path: Path, kind: str) -> None:
    before = [file_digests(folder / kind) for folder in saved]
    assert before[0]["saved_model.pb"] != before[1]["saved_model.pb"]
    one, other = (file_digests(rewritten(folder / kind, tmp_path / folder.name)) for folder in saved)
    assert one == other
    assert one.keys() == before[0].keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_rewritten_model_gives_the_same_answers(saved: tuple[Path, Path], tmp_path: Path, kind: str) -> None:
    model = rewritten(saved[0] / kind, tmp_path / "model")
    before, after = (tf.saved_model.load(str(path)).signatures for path in (saved[0] / kind, model))
    assert after.keys() == before.keys()
    assert before
    for name, signature in before.items():
        given = _inputs(signature)
        expected, found = signature(**given), after[name](**given)
        assert {key: value.numpy().tolist() for key, value in found.items()} == {
            key: value.numpy().tolist() for key, value in expected.items()
        }


def _inputs(signature: Any) -> dict[str, tf.Tensor]:
    found = {}
    for name, spec in signature.structured_input_signature[1].items():
        shape = [3 if size is None else size for size in spec.shape]
        values = np.resize(np.array(["a", "b", "z"]) if spec.dtype == tf.string else np.linspace(0, 1, 7), shape)
        found[name] = tf.constant(values) if spec.dtype == tf.string else tf.constant(values, spec.dtype)
    return found


def test_keras_loads_a_rewritten_model(saved: tuple[Path, Path], tmp_path: Path) -> None:
    path = saved[0] / "keras_2_recurrent"
    before, after = (tf.keras.models.load_model(each) for each in (path, rewritten(path, tmp_path / "model")))
    series = np.linspace(0, 1, 48, dtype="float32").reshape(8, 3, 2)
    assert np.array_equal(before(series), after(series))


def test_two_models_load_into_one_graph(saved: tuple[Path, Path], tmp_path: Path) -> None:
    models = [rewritten(saved[0] / kind, tmp_path / kind) for kind in ("keras_2_recurrent", "keras_2_export")]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for number, model in enumerate(models):
            tf.compat.v1.saved_model.load(session, ["serve"], str(model), import_scope=f"model_{number}")
    names = [_function_names(model) for model in models]
    assert not names[0] & names[1]


def test_a_rewritten_model_can_be_saved_inside_another(saved: tuple[Path, Path], tmp_path: Path) -> None:
    loaded = tf.saved_model.load(str(rewritten(saved[0] / "module", tmp_path / "model")))
    tf.saved_model.save(loaded, str(tmp_path / "again"), signatures=loaded.signatures)
    again = tf.saved_model.load(str(tmp_path / "again")).signatures["serving_default"]
    assert again(x=tf.constant([1.0]), word=tf.constant(["b"]))["word"].numpy().tolist() == [0]


def _function_names(model: Path) -> set[str]:
    return {function.signature.name for function in _meta_graph(model).graph_def.library.function}


def _meta_graph(model: Path) -> Any:
    return saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes()).meta_graphs[0]


def test_a_model_with_an_ambiguous_function_name_is_not_rewritten(saved: tuple[Path, Path], tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(saved[0] / "module", model)
    file = model / "saved_model.pb"
    parsed = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    function = next(iter(parsed.meta_graphs[0].graph_def.library.function))
    parsed.meta_graphs[0].graph_def.node.add(name=function.signature.name, op="NoOp")
    file.write_bytes(parsed.SerializeToString())
    before = file_digests(model)
    with pytest.raises(saved_model.NotUnderstoodError, match="is the name of both a function and another object"):
        saved_model.make_reproducible(model)
    assert file_digests(model) == before


# TensorBoard's logs


def log_training(folder: Path, made_before: int) -> None:
    for number in range(made_before):
        tf.function(lambda x: x + 1)(tf.constant(number))

    @tf.function
    def doubled(x: tf.Tensor) -> tf.Tensor:
        return tf.cond(x > 0, lambda: x * 2, lambda: x)

    for _ in range(2):
        with tf.summary.create_file_writer(str(folder / "train")).as_default():
            tf.summary.graph(doubled.get_concrete_function(tf.constant(1.0)).graph)
            for step in range(3):
                tf.summary.scalar("loss", 1 / (step + 1), step=step)


def test_logs_have_the_same_bytes_and_tensorboard_reads_them(tmp_path: Path) -> None:
    folders = tmp_path / "one", tmp_path / "other"
    for number, folder in enumerate(folders):
        log_training(folder, made_before=number)
        assert event_files.make_reproducible(folder) == []
    assert file_digests(folders[0]) == file_digests(folders[1])
    assert sorted(file_digests(folders[0])) == [
        "train/events.out.tfevents.0000000000.taxiway.v2",
        "train/events.out.tfevents.0000000001.taxiway.v2",
    ]
    assert _loss(folders[0]) == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))] * 2


def _loss(folder: Path) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    assert multiplexer.Graph("train") is not None
    return [(event.step, tf.make_ndarray(event.tensor_proto).item()) for event in multiplexer.Tensors("train", "loss")]


def test_logs_keep_their_order_and_other_files_are_unchanged(tmp_path: Path) -> None:
    names = [
        "events.out.tfevents.9.host.7.1.v2",
        "events.out.tfevents.10.host.7.0.v2",
        "events.out.tfevents.9.host.7.0.v2",
    ]
    for name in names:
        with (tmp_path / name).open("wb") as file:
            event = event_pb2.Event(wall_time=5.5, step=len(name), file_version=name)
            tfrecord.write_records(file, [event.SerializeToString()])
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "events.out.tfevents.11.host.7.0.v2").write_bytes(b"damaged")
    left = event_files.make_reproducible(tmp_path)
    assert {path.name for path in left} == {"notes.txt", "events.out.tfevents.11.host.7.0.v2"}
    files = sorted(tmp_path.glob("*.taxiway.v2"))
    events = [event_pb2.Event.FromString(next(tfrecord.read_records(file))) for file in files]
    assert [event.file_version for event in events] == [names[2], names[0], names[1]]
    assert {event.wall_time for event in events} == {0}
    assert not list(tmp_path.glob(".*"))
