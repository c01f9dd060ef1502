"""Protos of packages that are large to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from components.data.stand_ins import stood_in_for


@pytest.mark.slow
def test_the_package_itself_is_imported_later_and_has_the_same_messages() -> None:
    script = """
import sys
from components.reports.readers import protos
assert not {"tensorflow", "tensorflow_model_analysis", "apache_beam"} & sys.modules.keys()
message = protos.event_pb2.Event(step=3)
import tensorflow as tf
from tensorflow.core.util import event_pb2
assert isinstance(message, event_pb2.Event)
assert tf.constant(1).numpy() == 1
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_missing_package_is_an_error_and_leaves_nothing_imported() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), stood_in_for("json", "no_such_package"):
        pass

    assert "no_such_package" not in sys.modules
