"""The direct analysis gives the results of TFT on Beam, for every analyzer and mapper that TFT exports.

All cases run in one preprocessing_fn, once directly and once on Beam: building a pipeline costs more than its work.
"""

from __future__ import annotations

import functools
import gzip
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.contract.artifacts import Examples, split_path
from components.contract.errors import DataError
from components.transform.beam import analysis as beam_analysis
from components.transform.direct import analysis
from components.transform.direct.application import Transform
from components.transform.direct.tracing import trace
from components.transform.raw_examples import RawExamples

ROWS = 700
SHARDS = 4
DOCS = Path(__file__).parents[3] / "docs/reference/transform-analyzers.md"

SCHEMA = """
feature { name: "x" type: FLOAT presence { min_fraction: 1 } shape {} }
feature { name: "y" type: FLOAT presence { min_fraction: 1 } shape {} }
feature { name: "with_nan" type: FLOAT presence { min_fraction: 1 } shape {} }
feature { name: "weight" type: FLOAT presence { min_fraction: 1 } shape {} }
feature { name: "vector" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 3 } } }
feature { name: "number" type: INT presence { min_fraction: 1 } shape {} }
feature { name: "label" type: INT presence { min_fraction: 1 } shape {} }
feature { name: "word" type: BYTES presence { min_fraction: 1 } shape {} }
feature { name: "key" type: BYTES presence { min_fraction: 1 } shape {} }
feature { name: "text" type: BYTES presence { min_fraction: 1 } shape {} }
feature { name: "tags" type: BYTES }
feature { name: "floats" type: FLOAT }
feature { name: "ints" type: INT }
feature { name: "blank" type: BYTES presence { min_fraction: 1 } shape {} }
feature { name: "many" type: BYTES presence { min_fraction: 1 } shape {} }
feature { name: "absent" type: BYTES }
feature { name: "absent_float" type: FLOAT }
feature { name: "empty" type: BYTES }
feature { name: "index" type: INT }
feature { name: "value" type: FLOAT }
feature { name: "rag" type: FLOAT }
feature { name: "rag_words" type: BYTES }
feature { name: "rag_deep" type: INT }
feature { name: "rag_deep_lengths" type: INT }
sparse_feature { name: "sparse" index_feature { name: "index" } value_feature { name: "value" } is_sorted: true }
tensor_representation_group {
  key: ""
  value {
    tensor_representation {
      key: "ragged"
      value { ragged_tensor { feature_path { step: "rag" } row_partition_dtype: INT64 } }
    }
    tensor_representation {
      key: "ragged_words"
      value { ragged_tensor { feature_path { step: "rag_words" } row_partition_dtype: INT64 } }
    }
    tensor_representation {
      key: "ragged_deep"
      value {
        ragged_tensor {
          feature_path { step: "rag_deep" }
          partition { row_length: "rag_deep_lengths" }
          row_partition_dtype: INT64
        }
      }
    }
  }
}
"""
SPARSE_SIZE = "sparse_feature { name: 'sparse'"

Inputs = Mapping[str, Any]
Outputs = dict[str, Any]
Case = Callable[[Inputs], Outputs]
GROUPS: dict[str, dict[str, Case]] = {}


def case(group: str) -> Callable[[Case], Case]:
    def registered(function: Case) -> Case:
        GROUPS.setdefault(group, {})[function.__name__] = function
        return function

    return registered


def rows_of(inputs: Inputs, **constants: Any) -> Outputs:
    """Returns results of analyzers as outputs: all of them in each row, as a sparse tensor of unknown size."""
    rows = tf.shape(inputs["x"])[0]
    return {name: repeated(tf.reshape(constant, [-1]), rows) for name, constant in constants.items()}


def repeated(values: tf.Tensor, rows: tf.Tensor) -> tf.SparseTensor:
    shape = [rows, tf.size(values)]
    return tf.SparseTensor(tf.where(tf.ones(shape, tf.bool)), tf.tile(values, [rows]), tf.cast(shape, tf.int64))


@case("numbers")
def numeric(inputs: Inputs) -> Outputs:
    x, number = inputs["x"], inputs["number"]
    return rows_of(
        inputs,
        mean=tft.mean(x),
        mean_int=tft.mean(number),
        var=tft.var(x),
        min=tft.min(x),
        max=tft.max(x),
        sum=tft.sum(x),
        sum_int=tft.sum(number),
        size=tft.size(x),
    )


@case("more numbers")
def numeric_elementwise(inputs: Inputs) -> Outputs:
    vector = inputs["vector"]
    return rows_of(
        inputs,
        mean=tft.mean(vector, reduce_instance_dims=False),
        var=tft.var(vector, reduce_instance_dims=False),
        min=tft.min(vector, reduce_instance_dims=False),
        max=tft.max(vector, reduce_instance_dims=False),
        sum=tft.sum(vector, reduce_instance_dims=False),
        size=tft.size(vector, reduce_instance_dims=False),
    )


@case("numbers")
def numeric_varlen(inputs: Inputs) -> Outputs:
    floats, absent = inputs["floats"], inputs["absent_float"]
    return rows_of(
        inputs,
        mean=tft.mean(floats),
        var=tft.var(floats),
        min=tft.min(floats),
        max=tft.max(inputs["ints"]),
        sum=tft.sum(floats),
        size=tft.size(floats),
        mean_absent=tft.mean(absent),
        sum_absent=tft.sum(absent),
        min_absent=tft.min(absent),
        size_absent=tft.size(absent),
    )


@case("more numbers")
def numeric_nan(inputs: Inputs) -> Outputs:
    x = inputs["with_nan"]
    return rows_of(inputs, mean=tft.mean(x), var=tft.var(x), min=tft.min(x), max=tft.max(x), sum=tft.sum(x))


@case("more numbers")
def numeric_ragged(inputs: Inputs) -> Outputs:
    x, deep = inputs["ragged"], inputs["ragged_deep"]
    return rows_of(
        inputs,
        mean=tft.mean(x),
        var=tft.var(x),
        min=tft.min(x),
        max=tft.max(deep),
        sum=tft.sum(x),
        sum_deep=tft.sum(deep),
        size=tft.size(x),
    )


@case("numbers")
def numeric_sparse(inputs: Inputs) -> Outputs:
    x = inputs["sparse"]
    return rows_of(
        inputs,
        mean=tft.mean(x),
        var=tft.var(x),
        min=tft.min(x),
        sum=tft.sum(x),
        max=tft.max(x),
        size=tft.size(x),
        words=tft.histogram(inputs["tags"], categorical=True)[0],
    )


@case("numbers")
def histogram(inputs: Inputs) -> Outputs:
    counts, boundaries = tft.histogram(inputs["x"], boundaries=6)
    fixed, _ = tft.histogram(inputs["number"], boundaries=[1, 5, 9])
    words, names = tft.histogram(inputs["key"], categorical=True)
    return rows_of(inputs, counts=counts, boundaries=boundaries, fixed=fixed, words=words, names=names)


@case("numbers")
def quantiles(inputs: Inputs) -> Outputs:
    x, weight = inputs["x"], inputs["weight"]
    return rows_of(
        inputs,
        plain=tft.quantiles(x, 7, epsilon=0.001),
        weighted=tft.quantiles(x, 4, epsilon=0.001, weights=weight),
        elementwise=tft.quantiles(inputs["vector"], 5, epsilon=0.001, reduce_instance_dims=False),
        absent=tft.quantiles(inputs["absent_float"].values, 3, epsilon=0.1),
    )


@case("scales")
def bucketize(inputs: Inputs) -> Outputs:
    boundaries = tft.quantiles(inputs["y"], 5, epsilon=0.001)
    return {
        "bucketize": tft.bucketize(inputs["x"], 6),
        "weighted": tft.bucketize(inputs["x"], 3, weights=inputs["weight"]),
        "elementwise": tft.bucketize(inputs["vector"], 3, elementwise=True),
        "varlen": tft.bucketize(inputs["floats"], 4),
        "ragged": tft.bucketize(inputs["ragged"], 4),
        "apply_buckets": tft.apply_buckets(inputs["y"], boundaries),
        "apply_buckets_with_interpolation": tft.apply_buckets_with_interpolation(inputs["y"], boundaries),
        "number": tft.bucketize(inputs["number"], 3),
    }


@case("keys")
def bucketize_per_key(inputs: Inputs) -> Outputs:
    return {
        "plain": tft.bucketize_per_key(inputs["x"], inputs["key"], 4),
        "weighted": tft.bucketize_per_key(inputs["x"], inputs["key"], 3, weights=inputs["weight"]),
        "number": tft.bucketize_per_key(inputs["number"], inputs["key"], 2),
    }


@case("scales")
def get_num_buckets_for_transformed_feature(inputs: Inputs) -> Outputs:
    bucketized = tft.bucketize(inputs["y"], 4)
    looked_up = tft.compute_and_apply_vocabulary(inputs["key"])
    return rows_of(
        inputs,
        buckets=tft.get_num_buckets_for_transformed_feature(bucketized),
        tokens=tft.get_num_buckets_for_transformed_feature(looked_up),
    )


@case("scales")
def estimated_probability_density(inputs: Inputs) -> Outputs:
    return {
        "x": tft.estimated_probability_density(inputs["x"], boundaries=8),
        "word": tft.estimated_probability_density(inputs["word"], categorical=True),
    }


@case("scales")
def scale(inputs: Inputs) -> Outputs:
    x, vector, floats = inputs["x"], inputs["vector"], inputs["floats"]
    return {
        "scale_to_0_1": tft.scale_to_0_1(x),
        "scale_to_0_1_elementwise": tft.scale_to_0_1(vector, elementwise=True),
        "scale_by_min_max": tft.scale_by_min_max(x, -2, 5),
        "scale_by_min_max_varlen": tft.scale_by_min_max(floats, 0, 10),
        "scale_to_z_score": tft.scale_to_z_score(x),
        "scale_to_z_score_elementwise": tft.scale_to_z_score(vector, elementwise=True),
        "scale_to_z_score_varlen": tft.scale_to_z_score(floats),
        "scale_to_z_score_ragged": tft.scale_to_z_score(inputs["ragged"]),
        "scale_to_z_score_sparse": tft.scale_to_z_score(inputs["sparse"]),
        "scale_to_z_score_nan": tft.scale_to_z_score(inputs["with_nan"]),
        "scale_to_z_score_int": tft.scale_to_z_score(inputs["number"]),
        "scale_to_z_score_absent": tft.scale_to_z_score(inputs["absent_float"]),
    }


@case("keys")
def scale_per_key(inputs: Inputs) -> Outputs:
    x, key = inputs["x"], inputs["key"]
    return {
        "scale_to_0_1_per_key": tft.scale_to_0_1_per_key(x, key),
        "scale_by_min_max_per_key": tft.scale_by_min_max_per_key(x, key, -1, 1),
        "scale_to_z_score_per_key": tft.scale_to_z_score_per_key(x, key),
        "scale_to_0_1_per_key_file": tft.scale_to_0_1_per_key(x, key, key_vocabulary_filename="min_max_by_key"),
        "scale_to_z_score_per_key_file": tft.scale_to_z_score_per_key(x, key, key_vocabulary_filename="mean_by_key"),
    }


@case("more keys")
def keys_of_sparse_and_ragged(inputs: Inputs) -> Outputs:
    sparse, ragged = inputs["sparse"], inputs["ragged"]
    of_sparse = sparse.with_values(tf.gather(inputs["key"], sparse.indices[:, 0]))
    of_ragged = ragged.with_values(tf.gather(inputs["key"], ragged.value_rowids()))
    keys, counts = tft.count_per_key(inputs["tags"])
    return {
        "sparse_z_score": tft.scale_to_z_score_per_key(sparse, of_sparse),
        "sparse_min_max": tft.scale_by_min_max_per_key(sparse, of_sparse, 0, 3),
        "ragged_z_score": tft.scale_to_z_score_per_key(ragged, of_ragged),
        "ragged_min_max": tft.scale_to_0_1_per_key(ragged, of_ragged),
        **rows_of(inputs, keys=keys, counts=counts),
    }


@case("more keys")
def empty_keys(inputs: Inputs) -> Outputs:
    keys, counts = tft.count_per_key(inputs["blank"])
    return {
        "scaled": tft.scale_to_z_score_per_key(inputs["x"], inputs["blank"]),
        "buckets": tft.bucketize_per_key(inputs["x"], inputs["blank"], 3),
        **rows_of(inputs, keys=keys, counts=counts),
    }


@case("many keys")
def many_keys(inputs: Inputs) -> Outputs:
    x, many = inputs["x"], inputs["many"]
    keys, counts = tft.count_per_key(many)
    return {
        "z_score": tft.scale_to_z_score_per_key(x, many),
        "min_max": tft.scale_by_min_max_per_key(x, many, 0, 5),
        "buckets": tft.bucketize_per_key(x, many, 2),
        **rows_of(inputs, keys=tf.size(keys, tf.int64), counts=tf.reduce_sum(counts)),
    }


@case("many keys")
def many_words(inputs: Inputs) -> Outputs:
    many = inputs["many"]
    tft.vocabulary(many, vocab_filename="all", store_frequency=True)
    tft.vocabulary(many, vocab_filename="weighed", weights=inputs["weight"], store_frequency=True)
    tft.vocabulary(many, vocab_filename="informed", labels=inputs["label"], store_frequency=True)
    tft.vocabulary(many, vocab_filename="shuffled", fingerprint_shuffle=True)
    return {
        "top": tft.compute_and_apply_vocabulary(many, top_k=300),
        "frequent": tft.compute_and_apply_vocabulary(many, frequency_threshold=2, num_oov_buckets=5),
    }


@case("keys")
def count_per_key(inputs: Inputs) -> Outputs:
    keys, counts = tft.count_per_key(inputs["key"])
    tft.count_per_key(inputs["word"], key_vocabulary_filename="word_counts")
    return rows_of(inputs, keys=keys, counts=counts)


@case("more numbers")
def tukey(inputs: Inputs) -> Outputs:
    left, right = tft.tukey_h_params(inputs["x"])
    return rows_of(inputs, left=left, right=right)


@case("more numbers")
def tukey_parameters(inputs: Inputs) -> Outputs:
    x = inputs["x"]
    left, _ = tft.tukey_h_params(inputs["vector"], reduce_instance_dims=False)
    return rows_of(
        inputs,
        tukey_location=tft.tukey_location(x),
        tukey_scale=tft.tukey_scale(x),
        varlen=tft.tukey_location(inputs["floats"]),
        elementwise=left,
    )


@case("more numbers")
def scale_to_gaussian(inputs: Inputs) -> Outputs:
    return {
        "x": tft.scale_to_gaussian(inputs["x"]),
        "elementwise": tft.scale_to_gaussian(inputs["vector"], elementwise=True),
    }


@case("numbers")
def covariance(inputs: Inputs) -> Outputs:
    return rows_of(inputs, covariance=tft.covariance(inputs["vector"], tf.float32))


@case("numbers")
def pca(inputs: Inputs) -> Outputs:
    matrix = tft.pca(inputs["vector"], 2, tf.float32)
    # An eigenvector's sign is free.
    return rows_of(inputs, pca=tf.abs(matrix))


@case("vocabularies")
def vocabulary(inputs: Inputs) -> Outputs:
    word, key = inputs["word"], inputs["key"]
    tft.vocabulary(word, vocab_filename="with_counts", store_frequency=True)
    tft.vocabulary(word, top_k=9, vocab_filename="top_9")
    tft.vocabulary(word, frequency_threshold=12, fingerprint_shuffle=True, vocab_filename="shuffled_at_least_12")
    tft.vocabulary(word, reserved_tokens=["first", "w03", "second"], vocab_filename="reserved")
    tft.vocabulary(inputs["number"], vocab_filename="integers", file_format="tfrecord_gzip")
    tft.vocabulary(inputs["text"], vocab_filename="texts_with_newlines")
    tft.vocabulary(inputs["absent"], vocab_filename="absent", store_frequency=True)
    return {"word": tft.apply_vocabulary(word, tft.vocabulary(key, vocab_filename="applied"), num_oov_buckets=1)}


@case("vocabularies")
def vocabulary_ordered(inputs: Inputs) -> Outputs:
    word, label, weight = inputs["word"], inputs["label"], inputs["weight"]
    tft.vocabulary(word, weights=weight, vocab_filename="weighted_counts", store_frequency=True)
    tft.vocabulary(word, labels=label, vocab_filename="informed_counts", store_frequency=True)
    tft.vocabulary(word, labels=label, weights=weight, use_adjusted_mutual_info=True, vocab_filename="informed")
    tft.vocabulary(word, top_k=5, key_fn=_first_digit, coverage_top_k=2, vocab_filename="covering")
    return {}


def _first_digit(token: bytes) -> bytes:
    return token[1:2]


@case("more vocabularies")
def vocabulary_options(inputs: Inputs) -> Outputs:
    word = inputs["word"]
    tft.vocabulary(word, vocab_filename="plain")
    tft.vocabulary(word, top_k=9, vocab_filename="top_9_counts", store_frequency=True)
    tft.vocabulary(word, frequency_threshold=10_000, vocab_filename="none_so_frequent")
    tft.vocabulary(word, top_k=3, frequency_threshold=10_000, vocab_filename="none_of_top_3")
    tft.vocabulary(word, fingerprint_shuffle=True, top_k=8, vocab_filename="shuffled_top_8")
    tft.vocabulary(word, reserved_tokens=["w03"], top_k=5, store_frequency=True, vocab_filename="reserved_top_5")
    tft.vocabulary(word, file_format="tfrecord_gzip", store_frequency=True, vocab_filename="records_counts")
    tft.vocabulary(inputs["number"], top_k=4, store_frequency=True, vocab_filename="integers_top_4")
    tft.vocabulary(inputs["tags"], vocab_filename="tags", store_frequency=True)
    tft.vocabulary(inputs["ragged_words"], vocab_filename="ragged", store_frequency=True)
    tft.vocabulary(inputs["ragged_deep"], vocab_filename="ragged_integers", store_frequency=True)
    tft.vocabulary(inputs["absent"], top_k=2, vocab_filename="absent_top_2")
    tft.vocabulary(inputs["empty"], vocab_filename="empty")
    return {}


@case("more vocabularies")
def vocabulary_orders(inputs: Inputs) -> Outputs:
    word, label, weight = inputs["word"], inputs["label"], inputs["weight"]
    tft.vocabulary(word, weights=weight, top_k=6, frequency_threshold=4, vocab_filename="weighted_top_6")
    tft.vocabulary(inputs["number"], weights=weight, vocab_filename="weighted_integers")
    tft.vocabulary(word, labels=label, vocab_filename="informed_plain")
    tft.vocabulary(word, labels=label, top_k=7, min_diff_from_avg=1, vocab_filename="informed_top_7")
    tft.vocabulary(inputs["number"], labels=label, frequency_threshold=30, vocab_filename="informed_integers")
    tft.vocabulary(inputs["tags"], labels=label, vocab_filename="informed_tags")
    tft.vocabulary(
        word, top_k=5, key_fn=_first_digit, coverage_top_k=1, coverage_frequency_threshold=9,
        store_frequency=True, vocab_filename="covering_frequent",
    )  # fmt: skip
    return {}


@case("rows")
def compute_and_apply_vocabulary(inputs: Inputs) -> Outputs:
    return {
        "dense": tft.compute_and_apply_vocabulary(inputs["word"], top_k=10, num_oov_buckets=3),
        "varlen": tft.compute_and_apply_vocabulary(inputs["tags"], default_value=-2),
        "ragged_deep": tft.compute_and_apply_vocabulary(inputs["ragged_deep"]),
    }


@case("more vocabularies")
def vocabulary_of_blanks(inputs: Inputs) -> Outputs:
    blank = inputs["blank"]
    tft.vocabulary(blank, vocab_filename="blanks", store_frequency=True)
    tft.vocabulary(blank, vocab_filename="blanks_weighed", weights=inputs["weight"])
    tft.vocabulary(blank, vocab_filename="blanks_in_records", file_format="tfrecord_gzip")
    return {"applied": tft.compute_and_apply_vocabulary(blank, num_oov_buckets=1)}


@case("more vocabularies")
def compute_and_apply_vocabularies(inputs: Inputs) -> Outputs:
    return {
        "ragged": tft.compute_and_apply_vocabulary(inputs["ragged_words"]),
        "integers": tft.compute_and_apply_vocabulary(inputs["number"], frequency_threshold=3),
        "absent": tft.compute_and_apply_vocabulary(inputs["absent"], num_oov_buckets=2),
        "informed": tft.compute_and_apply_vocabulary(inputs["word"], labels=inputs["label"], top_k=12),
        "records": tft.compute_and_apply_vocabulary(inputs["key"], file_format="tfrecord_gzip"),
        "reserved": tft.compute_and_apply_vocabulary(inputs["key"], reserved_tokens=["unknown"]),
    }


@case("rows")
def experimental_vocabulary(inputs: Inputs) -> Outputs:
    tft.vocabulary(inputs["word"], vocab_filename="sized", top_k=11)
    # Weights, or a sketch that holds all tokens, make the order of equal counts the same in every run.
    tft.experimental.approximate_vocabulary(inputs["word"], top_k=200, vocab_filename="approximate")
    tft.experimental.approximate_vocabulary(
        inputs["word"], top_k=200, weights=inputs["weight"], vocab_filename="approximate_weighted"
    )
    return {
        **rows_of(inputs, size=tft.experimental.get_vocabulary_size_by_name("sized")),
        "applied": tft.experimental.compute_and_apply_approximate_vocabulary(inputs["key"], top_k=50),
        "absent": tft.experimental.compute_and_apply_approximate_vocabulary(inputs["absent"], top_k=5),
    }


@case("rows")
def text_functions(inputs: Inputs) -> Outputs:
    tokens = tf.strings.split(inputs["text"]).to_sparse()
    ids = tft.compute_and_apply_vocabulary(tokens, top_k=20, num_oov_buckets=1)
    indices, weights = tft.tfidf(ids, 21)
    return {
        "tfidf_indices": indices,
        "tfidf_weights": weights,
        "bag_of_words": tft.bag_of_words(tokens, (1, 2), " "),
        "ngrams": tft.ngrams(tokens, (1, 3), "-"),
        "word_count": tft.word_count(tokens),
        "hash_strings": tft.hash_strings(inputs["word"], 17),
        "hash_strings_keyed": tft.hash_strings(inputs["tags"], 17, key=[3, 5]),
        "document_frequency": tft.experimental.document_frequency(ids, 21),
        "idf": tft.experimental.idf(ids, 21),
    }


@case("rows")
def without_analysis(inputs: Inputs) -> Outputs:
    return {
        "sparse_tensor_to_dense_with_shape": tft.sparse_tensor_to_dense_with_shape(inputs["floats"], [None, 5], -1.0),
        "sparse_tensor_left_align": tft.sparse_tensor_left_align(inputs["floats"]),
        "deduplicate_tensor_per_row": tft.deduplicate_tensor_per_row(inputs["tags"]),
        "segment_indices": tft.segment_indices(tf.cast(tf.math.cumsum(inputs["label"]), tf.int64)),
        "renamed": inputs["word"],
        "absent": inputs["absent"],
        "nested": inputs["ragged_deep"],
    }


@case("rows")
def annotations(inputs: Inputs) -> Outputs:
    tft.annotate_asset("the_words", "annotated")
    tft.vocabulary(inputs["word"], vocab_filename="annotated")
    table = tft.make_and_track_object(lambda: tf.Module(), name="tracked")
    assert table is not None
    outer = tf.sparse.expand_dims(inputs["sparse"], 1)
    shaped = tf.sparse.expand_dims(inputs["sparse"], 1)
    tft.experimental.annotate_true_sparse_output(outer)
    tft.experimental.annotate_sparse_output_shape(shaped, [1, 10])
    return {"true_sparse": outer, "shaped_sparse": shaped}


@case("rows")
def python_function(inputs: Inputs) -> Outputs:
    doubled = tft.apply_pyfunc(_doubled, tf.float32, False, "doubled", inputs["x"])
    doubled.set_shape([None])
    return {"scaled": tft.scale_to_0_1(doubled)}


def _doubled(x: np.ndarray) -> np.ndarray:
    return 2 * x


@case("scales")
def two_phases(inputs: Inputs) -> Outputs:
    centred = inputs["x"] - tft.mean(inputs["x"])
    rescaled = tft.scale_to_0_1(centred)
    ids = tft.compute_and_apply_vocabulary(inputs["word"], top_k=15)
    return {
        "scaled_twice": tft.scale_to_z_score(tf.abs(rescaled - tft.mean(rescaled))),
        "mean_of_ids": tf.cast(ids, tf.float32) - tft.mean(ids),
        "buckets_of_scaled": tft.bucketize(rescaled, 4),
    }


@case("rows")
def own_table(inputs: Inputs) -> Outputs:
    with tf.init_scope():
        keys, values = tf.constant([b"k0", b"k1"]), tf.constant([10, 20], tf.int64)
        table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1)
    return {"found": tft.scale_to_0_1(table.lookup(inputs["key"]))}


def all_of(group: str) -> Case:
    def preprocessing_fn(inputs: Inputs) -> Outputs:
        outputs = {"x": inputs["x"]}
        for name, function in GROUPS[group].items():
            outputs |= {f"{name}.{key}": value for key, value in function(dict(inputs)).items()}
        return outputs

    return preprocessing_fn


class Both(NamedTuple):
    """The folders of the two graphs, and the same rows through each."""

    direct: Path
    beam: Path
    direct_rows: pa.Table
    beam_rows: pa.Table


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> RawExamples:
    examples = Examples(tmp_path_factory.mktemp("raw") / "examples")
    write_shards(examples, table())
    return RawExamples(examples, text_format.Parse(SCHEMA, schema_pb2.Schema()))


@pytest.fixture(scope="module")
def both_ways(raw: RawExamples, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Both]:
    @functools.cache
    def analyze(group: str) -> Both:
        return analyzed_both_ways(all_of(group), raw, tmp_path_factory.mktemp("graphs"))

    return analyze


def write_shards(examples: Examples, rows: pa.Table) -> None:
    """Writes several files, so that every accumulator gets several batches; the last has no rows."""
    folder = split_path(examples, "train")
    folder.mkdir(parents=True)
    size = -(-rows.num_rows // SHARDS)
    for shard in range(SHARDS + 1):
        pq.write_table(rows.slice(shard * size, size), folder / f"data_parquet-{shard:05d}.parquet")


def table() -> pa.Table:
    rng = np.random.default_rng(7)
    lengths = rng.integers(0, 4, ROWS)
    words = [f"w{int(n):02d}" for n in rng.zipf(1.4, ROWS) % 60]
    x = rng.gamma(2.0, 3.0, ROWS)
    deep = [[int(n) for n in rng.integers(0, 3, length)] for length in lengths]
    return pa.table(
        {
            "x": scalars(x, pa.float32()),
            "y": scalars(rng.normal(100, 20, ROWS), pa.float32()),
            "with_nan": scalars(np.where(rng.random(ROWS) < 0.1, np.nan, x), pa.float32()),
            "weight": scalars(rng.integers(1, 9, ROWS) / 4, pa.float32()),
            "vector": lists(rng.normal([0, 5, -3], [1, 4, 0.2], (ROWS, 3)).tolist(), pa.float32()),
            "number": scalars(rng.integers(-4, 12, ROWS), pa.int64()),
            "label": scalars(rng.integers(0, 2, ROWS), pa.int64()),
            "word": scalars(words, pa.large_binary()),
            "blank": scalars(rng.choice(["", " ", "a", "a b", "\u00fc"], ROWS), pa.large_binary()),
            "many": scalars([f"m{int(n)}" for n in rng.integers(0, 4 * ROWS, ROWS)], pa.large_binary()),
            "key": scalars([f"k{int(n)}" for n in rng.integers(0, 5, ROWS)], pa.large_binary()),
            "text": scalars([text(rng) for _ in range(ROWS)], pa.large_binary()),
            "tags": lists([tags(rng, int(n)) for n in lengths], pa.large_binary()),
            "floats": lists([rng.normal(size=n).tolist() if n else None for n in lengths], pa.float32()),
            "ints": lists([rng.integers(0, 9, n).tolist() for n in lengths], pa.int64()),
            "empty": lists([[] for _ in range(ROWS)], pa.large_binary()),
            "index": lists([sorted(rng.choice(10, n, replace=False).tolist()) for n in lengths], pa.int64()),
            "value": lists([rng.normal(size=n).tolist() for n in lengths], pa.float32()),
            "rag": lists([rng.normal(size=n).tolist() for n in lengths], pa.float32()),
            "rag_words": lists([tags(rng, int(n)) or [] for n in lengths], pa.large_binary()),
            "rag_deep_lengths": lists(deep, pa.int64()),
            "rag_deep": lists([list(range(sum(row))) for row in deep], pa.int64()),
        }
    )


def text(rng: np.random.Generator) -> str:
    words = [f"t{int(n)}" for n in rng.integers(0, 30, rng.integers(1, 6))]
    return ("\n" if rng.random() < 0.05 else " ").join(words)


def tags(rng: np.random.Generator, count: int) -> list[str] | None:
    return [f"tag{int(n)}" for n in rng.integers(0, 12, count)] if count else None


def scalars(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    return lists([[value] for value in values], kind)


def lists(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == pa.large_binary():
        values = [row and [token.encode() for token in row] for row in values]
    return pa.array(values, pa.large_list(kind))


def analyzed_both_ways(function: Callable[..., Any], raw: RawExamples, folder: Path) -> Both:
    return both_analyzed(function, raw, raw, folder)


def both_analyzed(function: Callable[..., Any], raw: RawExamples, applied_to: RawExamples, folder: Path) -> Both:
    direct, used = analyzed_rows(function, raw, folder, directly=True)
    beam, _ = analyzed_rows(function, raw, folder, directly=False)
    rows = applied_to.of(used.tensors or ())
    return Both(direct, beam, applied(direct, rows), applied(beam, rows))


def analyzed(function: Callable[..., Any], raw: RawExamples, folder: Path, *, directly: bool) -> tuple[Path, pa.Table]:
    graph, used = analyzed_rows(function, raw, folder, directly=directly)
    return graph, applied(graph, used)


def applied(graph: Path, rows: RawExamples) -> pa.Table:
    transform = Transform(graph, rows)
    return pa.Table.from_batches(map(transform, rows.tensor_batches(["train"])))


def analyzed_rows(
    function: Callable[..., Any], raw: RawExamples, folder: Path, *, directly: bool
) -> tuple[Path, RawExamples]:
    graph = folder / ("direct" if directly else "beam")
    scratch = folder / f"{graph.name}-scratch"
    graph.mkdir()
    scratch.mkdir()
    first = trace(function, raw.specs, scratch)
    used = raw.of(first.used_inputs())
    if directly:
        analysis.analyze(function, first=first, used=used, splits=["train"], graph=graph, scratch=scratch)
    else:
        beam_analysis.analyze(function, raw=used, splits=["train"], graph=graph, scratch=scratch)
    return graph, used


def metadata(graph: Path) -> dict[str, bytes]:
    return {file.name: data for file, data in contents(sorted((graph / "transformed_metadata").iterdir()))}


def vocabularies(graph: Path) -> dict[str, bytes]:
    files = sorted((graph / "transform_fn/assets").glob("*"))
    return {file.name: gzip.decompress(data) if file.suffix == ".gz" else data for file, data in contents(files)}


def contents(files: Iterable[Path]) -> Iterable[tuple[Path, bytes]]:
    return ((file, file.read_bytes()) for file in files)


def assert_equal_rows(ours: pa.Table, theirs: pa.Table) -> None:
    assert ours.schema == theirs.schema
    for name in ours.column_names:
        mine, other = ours[name].combine_chunks(), theirs[name].combine_chunks()
        while pa.types.is_large_list(mine.type):
            assert mine.value_lengths().equals(other.value_lengths()), name
            mine, other = mine.flatten(), other.flatten()
        if pa.types.is_floating(mine.type):
            np.testing.assert_allclose(mine.to_numpy(), other.to_numpy(), rtol=1e-6, atol=1e-6, err_msg=name)
        else:
            assert mine.equals(other), name


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_vocabularies_and_schema_are_byte_identical(both_ways: Callable[[str], Both], group: str) -> None:
    both = both_ways(group)
    assert metadata(both.direct) == metadata(both.beam)
    assert vocabularies(both.direct) == vocabularies(both.beam)


@pytest.mark.slow
@pytest.mark.parametrize(("group", "name"), [(group, name) for group in GROUPS for name in GROUPS[group]])
def test_rows_after_the_transform_are_equal(both_ways: Callable[[str], Both], group: str, name: str) -> None:
    both = both_ways(group)
    columns = [column for column in both.beam_rows.column_names if column.startswith(f"{name}.")]
    assert_equal_rows(both.direct_rows.select(columns), both.beam_rows.select(columns))


@pytest.mark.slow
def test_data_without_rows_are_analyzed_like_on_beam(raw: RawExamples, tmp_path: Path) -> None:
    nothing = Examples(tmp_path / "nothing")
    write_shards(nothing, table().slice(0, 0))
    cases = {name: function for group in ("numbers", "vocabularies") for name, function in GROUPS[group].items()}

    def preprocessing_fn(inputs: Inputs) -> Outputs:
        found = {name: function(dict(inputs)) for name, function in cases.items()}
        return {"x": inputs["x"], **{f"{name}.{key}": found[name][key] for name in found for key in found[name]}}

    both = both_analyzed(preprocessing_fn, RawExamples(nothing, raw.schema), raw, tmp_path)
    assert metadata(both.direct) == metadata(both.beam)
    assert vocabularies(both.direct) == vocabularies(both.beam)
    assert_equal_rows(both.direct_rows, both.beam_rows)


def test_buckets_per_key_without_rows_are_refused(raw: RawExamples, tmp_path: Path) -> None:
    def preprocessing_fn(inputs: Inputs) -> Outputs:
        return {"x": tft.bucketize_per_key(inputs["x"], inputs["key"], 3)}

    nothing = Examples(tmp_path / "nothing")
    write_shards(nothing, table().slice(0, 0))
    with pytest.raises(DataError) as error:
        analyzed(preprocessing_fn, RawExamples(nothing, raw.schema), tmp_path, directly=True)
    assert "tft.bucketize_per_key finds no buckets: there are no rows" in str(error.value)
    assert "analyze a split that has rows" in str(error.value)


def test_an_approximate_vocabulary_keeps_its_reserved_tokens(raw: RawExamples, tmp_path: Path) -> None:
    def preprocessing_fn(inputs: Inputs) -> Outputs:
        for name in ("one", "two"):
            tft.experimental.approximate_vocabulary(
                inputs["key"], top_k=9, reserved_tokens=["first", "k3"], vocab_filename=name
            )
        return {"x": inputs["x"]}

    graph, _ = analyzed(preprocessing_fn, raw, tmp_path, directly=True)
    written = vocabularies(graph)
    assert written.keys() == {"one", "two"}
    for vocabulary in written.values():
        assert vocabulary.splitlines()[:2] == [b"first", b"k3"]
        assert sorted(vocabulary.splitlines()[2:]) == [b"k0", b"k1", b"k2", b"k4"]


def test_coverage_by_mutual_information_equals_that_of_beam(raw: RawExamples, tmp_path: Path) -> None:
    def preprocessing_fn(inputs: Inputs) -> Outputs:
        tft.vocabulary(
            inputs["word"], labels=inputs["label"], top_k=4, key_fn=_first_digit, coverage_top_k=1, vocab_filename="v"
        )
        return {"x": inputs["x"]}

    graph, _ = analyzed(preprocessing_fn, raw, tmp_path, directly=True)
    words = vocabularies(graph)["v"].splitlines()
    assert {word[1:2] for word in words} == {b"0", b"1", b"2", b"3", b"4", b"5"}
    assert 6 <= len(words) <= 10


def test_the_page_names_what_tft_exports_and_cases_that_exist() -> None:
    named = set(re.findall(r"`([\w.]+)`", DOCS.read_text()))
    exported = {*tft.__all__, *(f"experimental.{name}" for name in tft.experimental.__all__)} - {"__version__"}
    assert exported - named == set()
    cells = [row.split("|")[-2] for row in DOCS.read_text().splitlines() if row.startswith("| `")]
    cases = set().union(*GROUPS.values())
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) - cases == set()
