"""A SavedModel in a session gives the same answers with and without TensorFlow's private names."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from components.upstream import tensorflow_sessions
from taxiway.serving.errors import ServingError
from taxiway.serving.model.saved_model import SavedModel

Saved = Callable[[str], Path]
HALF = np.array([1.0, 4.0], np.float32)
MISSING: list[tuple[Any, str]] = [
    (tf.Operation, "_clear_attr"),
    (sys.modules, "tensorflow.python.saved_model.loader_impl"),
]


def _remove(monkeypatch: pytest.MonkeyPatch, holder: Any, name: str) -> None:
    if holder is sys.modules:
        monkeypatch.setitem(holder, name, None)
    else:
        monkeypatch.delattr(holder, name)


def _halves(model: SavedModel) -> np.ndarray:
    return model.run(model.signature(""), {"x": HALF})["y"]


def test_this_version_of_tensorflow_has_every_private_name(saved: Saved, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model = SavedModel(saved("half_plus_two"))
    assert [record for record in caplog.records if record.name == tensorflow_sessions.__name__] == []
    assert [type(call).__name__ for call in model._calls.values()] == ["_Callable"] * 4
    assert isinstance(model._session._graph, tf.Graph)
    model.close()
    assert callable(ops.dismantle_graph)


@pytest.mark.parametrize(("holder", "name"), MISSING, ids=[name.rpartition(".")[2] for _, name in MISSING])
def test_a_model_loads_without_a_private_name(
    holder: Any, name: str, saved: Saved, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _remove(monkeypatch, holder, name)
    model = SavedModel(saved("half_plus_two"))
    assert _halves(model).tolist() == [2.5, 4.0]
    assert sorted(model._calls) == ["classify_x_to_y", "labelled", "regress_x_to_y", "serving_default"]
    (message,) = (record.getMessage() for record in caplog.records if record.name == tensorflow_sessions.__name__)
    assert message.startswith(f"loaded by TensorFlow's public loader, which is slower: TensorFlow {tf.__version__}: ")
    assert name in message
    model.close()


def test_tensorflow_1_graphs_and_strings_work_without_private_names(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tf.Operation, "_clear_attr")
    monkeypatch.delattr(tf.compat.v1.Session.__mro__[1], "_make_callable_from_options")
    old, mixed = SavedModel(saved("half_graph")), SavedModel(saved("mixed"))
    assert old.run(old.signature(""), {"x": HALF[:, None]})["y"].tolist() == [[2.5], [4.0]]
    words = np.array([b"a", b"\xff"], object)
    answer = mixed.run(mixed.signature(""), {"number": HALF, "word": words})
    assert [answer[name].tolist() for name in ("doubled", "same")] == [[2.0, 8.0], [b"a", b"\xff"]]
    with pytest.raises(ServingError) as refused:
        mixed.run(mixed.signature(""), {"number": HALF.reshape(2, 1), "word": words})
    assert refused.value.code == grpc.StatusCode.INVALID_ARGUMENT
    old.close()
    mixed.close()


def test_a_model_closes_without_a_private_name(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SavedModel(saved("half_plus_two"))
    monkeypatch.delattr(ops, "dismantle_graph")
    model.close()
    assert not hasattr(model, "_session")


def test_a_damaged_model_has_the_same_error_without_private_names(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\xff no model")
    errors = []
    for _ in range(2):
        with pytest.raises(ServingError) as refused:
            SavedModel(tmp_path)
        errors.append((refused.value.code, str(refused.value)))
        monkeypatch.setitem(sys.modules, "tensorflow.python.saved_model.loader_impl", None)
    assert errors[0] == errors[1]
