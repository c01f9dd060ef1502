"""TFT's private names, from modules that `import tensorflow_transform` loads anyway, except for one that loads Beam."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from tensorflow_transform.analyzers import _VocabOrderingType as VocabularyOrdering
from tensorflow_transform.impl_helper import (
    METADATA_DIR_NAME,
    get_traced_transform_fn,
    make_tensor_to_arrow_converter,
    trace_and_write_v2_saved_model,
)

VERSION = "1.21.0"

__all__ = [
    "METADATA_DIR_NAME",  # where the metadata in a transform's SavedModel is, before it is moved
    "VocabularyOrdering",  # how a vocabulary is ordered
    "get_traced_transform_fn",  # a preprocessing_fn as a graph
    "join_boundary_rows",
    "make_tensor_to_arrow_converter",  # transformed tensors as Arrow batches
    "means_by_token",
    "mutual_information",
    "trace_and_write_v2_saved_model",  # the SavedModel of a transform, with the results of its analyzers
]


def means_by_token(batch: tuple[np.ndarray, ...], weighted: bool) -> Iterable[tuple[Any, Any]]:
    """For each token of a batch, the accumulator of its labels' weighted means."""
    found: Iterable[tuple[Any, Any]] = _beam()._flatten_to_key_and_means_accumulator_list(batch, weighted)
    return found


def mutual_information() -> Callable[..., tuple[Any, Any]]:
    """TFT's function for the mutual information of a token and the label."""
    function: Callable[..., tuple[Any, Any]] = _beam()._calculate_mutual_information_for_feature_value
    return function


def join_boundary_rows(boundaries: np.ndarray) -> tuple[np.ndarray, ...]:
    """The bucket boundaries of all keys as TFT writes them into the graph."""
    joined: tuple[np.ndarray, ...] = _beam()._join_boundary_rows(boundaries)
    return joined


def _beam() -> Any:
    """TFT's arithmetic for Beam pipelines. The module loads Beam, so it is imported only when needed."""
    from tensorflow_transform.beam import analyzer_impls

    return analyzer_impls
