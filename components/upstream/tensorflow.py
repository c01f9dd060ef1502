"""TensorFlow's private names, from modules that `import tensorflow` loads anyway."""

from __future__ import annotations

from typing import Any

from tensorflow.python.eager.wrap_function import VariableHolder, WrappedFunction
from tensorflow.python.framework.config import disable_op_determinism, is_op_determinism_enabled
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow.python.ops.ref_variable import RefVariable
from tensorflow.python.saved_model.constants import INIT_OP_SIGNATURE_KEY, TRAIN_OP_SIGNATURE_KEY
from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint
from tensorflow.python.trackable.resource import ResourceTracker, resource_tracker_scope

VERSION = "2.21.0"

__all__ = [
    "INIT_OP_SIGNATURE_KEY",  # signatures that TensorFlow adds for itself
    "TRAIN_OP_SIGNATURE_KEY",
    "FuncGraph",  # the trainer orders its variables
    "ResourceTracker",  # the lookup tables that a preprocessing_fn makes
    "VariableHolder",  # with WrappedFunction: the values of tensors inside a traced preprocessing_fn
    "WrappedFunction",
    "disable_op_determinism",  # enabling it is public, and disabling it is not
    "is_op_determinism_enabled",
    "resource_tracker_scope",
    "unique_name",
    "write_fingerprint",  # the fingerprint of a SavedModel whose names were rewritten
]


def unique_name(variable: Any) -> str:
    """A variable's name with TensorFlow's running number; TensorFlow 1 variables have no number."""
    return str(variable.name if isinstance(variable, RefVariable) else variable._unique_id)
