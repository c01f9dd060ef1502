"""Seeds and TensorFlow's deterministic ops, which make training repeatable."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import tensorflow as tf

from components.contract.errors import UserError
from components.upstream.tensorflow import (
    FuncGraph,
    disable_op_determinism,
    is_op_determinism_enabled,
    unique_name,
)

_KERAS = ("tf_keras", "keras")
_HIGHEST_SEED = 2**32 - 1  # NumPy's bound
_FIX = "give a seed to the op that draws random numbers, or set deterministic=False: the model then differs each time"


def require_seed(seed: int) -> None:
    """Refuses a number that Python, NumPy or TensorFlow does not accept as a seed.

    Raises:
        UserError: It is negative or too large.
    """
    if not 0 <= seed <= _HIGHEST_SEED:
        raise UserError(f"the seed is {seed}", fix=f"give a number from 0 to {_HIGHEST_SEED}")


def set_seeds(seed: int) -> None:
    """Seeds Python's random, NumPy, TensorFlow, and each generation of Keras that is loaded.

    A Keras that is loaded later takes its seeds from Python's random, with the same results.
    """
    random.seed(seed)
    np.random.seed(seed)
    tf.random.set_seed(seed)
    for name in _KERAS:
        if library := sys.modules.get(name):
            library.utils.set_random_seed(seed)


@contextmanager
def deterministic_training(enabled: bool) -> Iterator[None]:
    """While the block runs, TensorFlow's ops are deterministic, or refuse to run.

    Raises:
        UserError: An op refused to run; has the fix.
    """
    with _deterministic_ops() if enabled else nullcontext(), _ordered_variables() if enabled else nullcontext():
        try:
            yield
        except UserError as error:
            if enabled and "determinis" in str(error.__cause__).lower():
                raise UserError(error.what, fix=_FIX) from error
            raise


@contextmanager
def _deterministic_ops() -> Iterator[None]:
    before = is_op_determinism_enabled()
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        if not before:
            disable_op_determinism()


@contextmanager
def _ordered_variables() -> Iterator[None]:
    """While the block runs, functions list their variables in the order of creation.

    TensorFlow (2.21, `framework/func_graph.py`) takes them from a set, in the order of their memory addresses, and
    Keras' `model.export` saves them in that order.
    """
    original = FuncGraph.variables

    def assign(graph: Any, variables: Iterable[Any]) -> None:
        original.fset(graph, sorted(variables, key=_number))

    FuncGraph.variables = original.setter(assign)
    try:
        yield
    finally:
        FuncGraph.variables = original


def _number(variable: Any) -> tuple[int, str]:
    """The number at the end of a variable's unique name, which TensorFlow counts up."""
    name = unique_name(variable)
    end = name.rpartition("_")[2]
    return int(end) if end.isdigit() else -1, name
