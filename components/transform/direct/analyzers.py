"""TFT's analyzers evaluated in this process: what TFT on Beam computes from the same nodes of the analysis graph.

`plan` turns a node into a deferred value. Accumulators among its ancestors take in the batches, one tuple of arrays a
batch; after the last one the deferred value can be called. TFT's own combiners do the arithmetic; the semantics of
vocabularies are those of `tensorflow_transform/beam/analyzer_impls.py` (1.21).
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from tensorflow_transform import analyzer_nodes, analyzers, nodes, tf_utils

from components.contract.errors import DataError
from components.data import tfrecord
from components.upstream import tft
from components.upstream.tft import VocabularyOrdering

Batch = tuple[np.ndarray, ...]
Deferred = Callable[[], Any]
Entry = tuple[Any, Any]
"""A vocabulary's indicator (count, weight, or information with frequency) and token."""


class NotDirectError(Exception):
    """Only Beam can evaluate a node; the message names it."""


class Accumulator(Protocol):
    """Takes in the values of some tensors batch by batch, and then holds the result."""

    def add(self, batch: Batch) -> None:
        """Takes in one batch."""

    def __call__(self) -> Any:
        """The result over all batches so far."""


class _Combined:
    """One of TFT's combiners over whole batches."""

    def __init__(self, operation: analyzer_nodes.CacheableCombineAccumulate) -> None:
        self._combiner = operation.combiner
        self._state = self._combiner.create_accumulator()

    def add(self, batch: Batch) -> None:
        self._state = self._combiner.add_input(self._state, batch)

    def __call__(self) -> Any:
        return self._state


class _CombinedPerKey:
    """One of TFT's combiners for every value of a key; a row is a key and what belongs to it."""

    def __init__(self, operation: analyzer_nodes.CacheableCombinePerKeyAccumulate) -> None:
        self._combiner = operation.combiner
        # A sketch takes many values at once; the other combiners combine rows elementwise.
        self._rows = _rows_of_key if isinstance(self._combiner, analyzers.QuantilesCombiner) else _rows
        self._states: dict[Any, Any] = {}

    def add(self, batch: Batch) -> None:
        for key, values in self._rows(*batch):
            state = self._states[key] if key in self._states else self._combiner.create_accumulator()
            self._states[key] = self._combiner.add_input(state, values)

    def __call__(self) -> dict[Any, Any]:
        return self._states


def _rows(keys: np.ndarray, *values: np.ndarray) -> Iterator[tuple[Any, list[Any]]]:
    for row, key in enumerate(keys):
        yield key, [value[row] for value in values]


def _rows_of_key(keys: np.ndarray, *values: np.ndarray) -> Iterator[tuple[Any, list[np.ndarray]]]:
    if not len(keys):
        return
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    for rows in np.split(order, starts[1:]):
        yield keys[rows[0]], [value[rows] for value in values]


class _Counted:
    """How often each token occurs."""

    def __init__(self) -> None:
        self._counts: Counter[Any] = Counter()

    def add(self, batch: Batch) -> None:
        (tokens,) = batch
        self._counts.update(tokens.tolist())

    def __call__(self) -> dict[Any, Any]:
        return self._counts


class _Weighed:
    """The sum of each token's weights."""

    def __init__(self) -> None:
        self._weights: dict[Any, float] = {}

    def add(self, batch: Batch) -> None:
        for token, weight in zip(*(values.tolist() for values in batch), strict=True):
            self._weights[token] = self._weights.get(token, 0) + weight

    def __call__(self) -> dict[Any, Any]:
        return self._weights


class _Informed:
    """Each token's weighted means of the labels."""

    def __init__(self, weighted: bool) -> None:
        self._weighted = weighted
        self._combiner = _means(weighted)
        self._means: dict[Any, Any] = {}

    def add(self, batch: Batch) -> None:
        for token, mean in tft.means_by_token(batch, self._weighted):
            state = self._means[token] if token in self._means else self._combiner.create_accumulator()
            self._means[token] = self._combiner.add_input(state, mean)

    def __call__(self) -> dict[Any, Any]:
        return self._means


def _means(weighted: bool) -> analyzers.WeightedMeanAndVarCombiner:
    return analyzers.WeightedMeanAndVarCombiner(
        np.float32, output_shape=(None,), compute_variance=False, compute_weighted=weighted
    )


def _vocabulary_accumulator(operation: analyzer_nodes.VocabularyAccumulate) -> Accumulator:
    match operation.vocab_ordering_type:
        case VocabularyOrdering.FREQUENCY:
            return _Counted()
        case VocabularyOrdering.WEIGHTED_FREQUENCY:
            return _Weighed()
        case VocabularyOrdering.MUTUAL_INFORMATION:
            return _Informed(weighted=False)
        case VocabularyOrdering.WEIGHTED_MUTUAL_INFORMATION:
            return _Informed(weighted=True)
        case other:
            raise NotDirectError(f"vocabulary ordering {other}")


_ACCUMULATORS: dict[type[nodes.OperationDef], Callable[[Any], Accumulator]] = {
    analyzer_nodes.CacheableCombineAccumulate: _Combined,
    analyzer_nodes.CacheableCombinePerKeyAccumulate: _CombinedPerKey,
    analyzer_nodes.VocabularyAccumulate: _vocabulary_accumulator,
}


class Plan(nodes.Visitor):
    """Turns nodes of the analysis graph into deferred values.

    Attributes:
        accumulators: What has to take in the batches, with the tensors that each one looks at.
    """

    def __init__(self, graph: tf.Graph, scratch: Path) -> None:
        """Plans for one phase.

        Args:
            graph: The graph that the analyzers were found in.
            scratch: The folder for vocabulary files.
        """
        self.accumulators: list[tuple[Accumulator, Sequence[tf.Tensor]]] = []
        self._evaluators = _evaluators(graph, scratch)

    def visit(self, operation_def: nodes.OperationDef, input_values: tuple[Any, ...]) -> tuple[Any, ...]:
        """One deferred value for every output of a node; a source of tensors yields the tensors themselves.

        Raises:
            NotDirectError: Only Beam can evaluate the node.
        """
        kind = type(operation_def)
        if kind is analyzer_nodes.TensorSource:
            return (operation_def.tensors,)
        if kind in _ACCUMULATORS:
            accumulator = _ACCUMULATORS[kind](operation_def)
            self.accumulators.append((accumulator, input_values[0]))
            return (accumulator,)
        if kind not in self._evaluators:
            raise NotDirectError(operation_def.label)
        outputs = _once(functools.partial(self._evaluators[kind], operation_def), input_values)
        return tuple(functools.partial(_item, outputs, index) for index in range(operation_def.num_outputs))

    def validate_value(self, value: Any) -> None:
        """Takes any value."""


def _once(evaluate: Callable[..., tuple[Any, ...]], inputs: tuple[Deferred, ...]) -> Deferred:
    return functools.cache(lambda: evaluate(*(value() for value in inputs)))


def _item(outputs: Callable[[], tuple[Any, ...]], index: int) -> Any:
    return outputs()[index]


_Evaluator = Callable[..., tuple[Any, ...]]


def _evaluators(graph: tf.Graph, scratch: Path) -> dict[type[nodes.OperationDef], _Evaluator]:
    return {
        analyzer_nodes.CacheableCombineMerge: _merge,
        analyzer_nodes.ExtractCombineMergeOutputs: lambda _, outputs: tuple(outputs),
        analyzer_nodes.CacheableCombinePerKeyMerge: _merge_per_key,
        analyzer_nodes.CacheableCombinePerKeyFormatKeys: _format_keys,
        analyzer_nodes.CacheableCombinePerKeyFormatLarge: _format_large,
        analyzer_nodes.ScaleAndFlattenPerKeyBucketBouandaries: _join_boundaries,
        analyzer_nodes.VocabularyMerge: _merge_vocabulary,
        analyzer_nodes.VocabularyCount: lambda _, entries: (np.int64(max(len(entries), 1)),),
        analyzer_nodes.VocabularyPrune: _prune_vocabulary,
        analyzer_nodes.VocabularyOrderAndWrite: functools.partial(_write_vocabulary, scratch),
        analyzer_nodes.ExtractVocabularyReservedTokens: functools.partial(_reserved_tokens, graph),
        analyzer_nodes.FlattenLists: lambda _, *lists: ([tuple(entry) for entries in lists for entry in entries],),
    }


def _extract(combiner: analyzer_nodes.Combiner, state: Any) -> Any:
    return combiner.extract_output(combiner.merge_accumulators([combiner.create_accumulator(), state]))


def _merge(operation: analyzer_nodes.CacheableCombineMerge, state: Any) -> tuple[Any]:
    return (_extract(operation.combiner, state),)


def _merge_per_key(operation: analyzer_nodes.CacheableCombinePerKeyMerge, states: dict[Any, Any]) -> tuple[Any]:
    return ({key: _extract(operation.combiner, states[key]) for key in sorted(states)},)


def _format_keys(
    operation: analyzer_nodes.CacheableCombinePerKeyFormatKeys, results: dict[Any, Sequence[Any]]
) -> tuple[np.ndarray, ...]:
    infos = operation.combiner.output_tensor_infos()
    columns = list(zip(*results.values(), strict=True)) or [()] * len(infos)
    values = [np.array(column, info.dtype.as_numpy_dtype) for column, info in zip(columns, infos, strict=True)]
    return (np.array(list(results), dtype=object), *values)


def _format_large(_: nodes.OperationDef, results: dict[Any, Sequence[Any]]) -> tuple[list[Entry]]:
    return ([(",".join(map(tf.compat.as_str_any, values)), key) for key, values in results.items()],)


def _join_boundaries(_: nodes.OperationDef, boundaries: np.ndarray) -> tuple[np.ndarray, ...]:
    if not len(boundaries):
        raise DataError(
            "tft.bucketize_per_key finds no buckets: there are no rows", fix="analyze a split that has rows"
        )
    return tft.join_boundary_rows(boundaries)


def _merge_vocabulary(operation: analyzer_nodes.VocabularyMerge, tokens: dict[Any, Any]) -> tuple[list[Entry]]:
    match operation.vocab_ordering_type:
        case VocabularyOrdering.MUTUAL_INFORMATION | VocabularyOrdering.WEIGHTED_MUTUAL_INFORMATION:
            return (_informed_entries(operation, tokens),)
    return ([(count, token) for token, count in tokens.items()],)


def _informed_entries(operation: analyzer_nodes.VocabularyMerge, means: dict[Any, Any]) -> list[Entry]:
    if not means:
        return []
    combiner = _means(operation.vocab_ordering_type == VocabularyOrdering.WEIGHTED_MUTUAL_INFORMATION)
    means = {token: _extract(combiner, mean) for token, mean in means.items()}
    sentinels = (tf_utils.GLOBAL_Y_COUNT_SENTINEL_STRING, tf_utils.GLOBAL_Y_COUNT_SENTINEL_INT)
    overall = next(mean for token, mean in means.items() if token in sentinels)
    least = operation.min_diff_from_avg
    if least is None:
        least = analyzers.calculate_recommended_min_diff_from_avg(overall.count * overall.weight)
    information = functools.partial(
        tft.mutual_information(),
        global_accumulator=overall,
        use_adjusted_mutual_info=operation.use_adjusted_mutual_info,
        min_diff_from_avg=least,
    )
    found = (information(item) for item in means.items() if item[0] not in sentinels)
    return [((informativeness, frequency), token) for token, (informativeness, _, frequency) in found]


def _prune_vocabulary(operation: analyzer_nodes.VocabularyPrune, entries: list[Entry]) -> tuple[list[Entry]]:
    kept = _encoded(operation, _above(entries, operation.frequency_threshold, operation.informativeness_threshold))
    if operation.top_k is not None:
        kept = heapq.nlargest(operation.top_k, kept) or [_placeholder(operation.input_dtype)]
    if operation.key_fn is not None:
        kept = list({*kept, *_covering(operation, entries)})
    return (kept,)


def _covering(operation: analyzer_nodes.VocabularyPrune, entries: list[Entry]) -> list[Entry]:
    """The best entries of each key, so that every key is covered."""
    thresholds = operation.coverage_frequency_threshold, operation.coverage_informativeness_threshold
    kept = _encoded(operation, _above(entries, *thresholds))
    if operation.coverage_top_k is None:
        return kept
    by_key: dict[Any, list[Entry]] = {}
    for entry in kept:
        by_key.setdefault(operation.key_fn(entry[1]), []).append(entry)
    return [entry for group in by_key.values() for entry in heapq.nlargest(operation.coverage_top_k, group)]


def _above(entries: list[Entry], frequency: float, informativeness: float) -> Iterable[Entry]:
    if frequency <= 0 and informativeness == float("-inf"):
        return entries
    return (entry for entry in entries if _reaches(entry[0], frequency, informativeness))


def _reaches(indicator: Any, least_frequency: float, least_informativeness: float) -> bool:
    informativeness, frequency = indicator if isinstance(indicator, tuple) else (float("inf"), indicator)
    return bool(frequency >= least_frequency and informativeness >= least_informativeness)


def _encoded(operation: analyzer_nodes.VocabularyPrune, entries: Iterable[Entry]) -> list[Entry]:
    """Entries with one number, and the token as written to the file."""
    numbers = ((value[0] if isinstance(value, tuple) else value, token) for value, token in entries)
    if operation.input_dtype == tf.string.name:
        return list(numbers)
    return [(number, str(token).encode()) for number, token in numbers]


def _placeholder(dtype: str) -> Entry:
    """What TFT writes into a vocabulary without tokens, because a lookup table cannot read an empty file."""
    return analyzers.get_empy_vocabulary_dummy_value(dtype)  # type: ignore[no-any-return]


def _reserved_tokens(graph: tf.Graph, operation: analyzer_nodes.ExtractVocabularyReservedTokens) -> tuple[list[Any]]:
    return (list(tf_utils.fetch_vocabulary_reserved_tokens(graph, operation.name)),)


def _write_vocabulary(
    scratch: Path,
    operation: analyzer_nodes.VocabularyOrderAndWrite,
    entries: list[Entry],
    reserved: list[Any] | None = None,
) -> tuple[np.ndarray]:
    if reserved is not None:
        taken = set(reserved)
        entries = [(-1, token) for token in reserved] + _ordered(operation, [e for e in entries if e[1] not in taken])
    elif not operation.input_is_sorted:
        entries = _ordered(operation, entries)
    ordered = entries or [_placeholder(operation.input_dtype)]
    lines = (_line(entry) if operation.store_frequency else tf.compat.as_bytes(entry[1]) for entry in ordered)
    return (np.array(str(_write_lines(scratch / operation.vocab_filename, lines, operation.file_format))),)


def _ordered(operation: analyzer_nodes.VocabularyOrderAndWrite, entries: list[Entry]) -> list[Entry]:
    if operation.fingerprint_shuffle:
        return sorted(entries, key=lambda entry: hashlib.sha1(entry[1]).digest())
    return sorted(entries, reverse=True)


def _line(entry: Entry) -> bytes:
    number, token = entry
    return f"{number} {tf.compat.as_str_any(token)}".encode()


def _write_lines(path: Path, lines: Iterable[bytes], file_format: str) -> Path:
    if file_format == "text":
        with path.open("wb") as file:
            file.writelines(line + b"\n" for line in lines)
        return path
    path = path.with_name(path.name + ".tfrecord.gz")
    with gzip.GzipFile(path, "wb", mtime=0) as records:
        tfrecord.write_records(records, lines)  # type: ignore[arg-type]
    return path
