"""Statistics of the rows before and after the transform, as TFX's Transform computes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components import user_modules
from components.statistics_gen.compute import statistics
from components.transform.preprocessing import config_arguments

_UPDATER = "stats_options_updater_fn"
UpdateOptions = Callable[[str, tfdv.StatsOptions], tfdv.StatsOptions]


def load_options_updater(module: str, custom_config: Mapping[str, Any]) -> UpdateOptions:
    """The module's `stats_options_updater_fn`, TFX's hook for statistics options; without one they stay as they are."""
    if _UPDATER not in user_modules.functions(module):
        return lambda _, options: options
    # TFX takes seconds to import; only a module that was written for it needs its enum.
    from tfx.components.transform.stats_options_util import StatsType

    function = user_modules.load(module, _UPDATER)
    config = config_arguments(function, custom_config)
    return lambda kind, options: user_modules.call(function, StatsType[kind], options, **config)


def write_before(
    batches: Iterable[pa.RecordBatch], schema: schema_pb2.Schema, graph: Path, update: UpdateOptions
) -> None:
    """Writes `pre_transform_feature_stats`: the statistics of the analysed rows, by the raw schema."""
    options = update("PRE_TRANSFORM", tfdv.StatsOptions(schema=schema, experimental_use_sketch_based_topk_uniques=True))
    _write(batches, options, graph / tft.TFTransformOutput.PRE_TRANSFORM_FEATURE_STATS_PATH)


def write_after(batches: Iterable[pa.RecordBatch], graph: Path, update: UpdateOptions) -> None:
    """Writes `post_transform_feature_stats`: the transformed rows' statistics, and what is odd about them."""
    options = tfdv.StatsOptions(
        schema=tft.TFTransformOutput(str(graph)).transformed_metadata.schema,
        vocab_paths=_vocabulary_paths(graph),
        experimental_use_sketch_based_topk_uniques=True,
    )
    options = update("POST_TRANSFORM", options)
    path = graph / tft.TFTransformOutput.POST_TRANSFORM_FEATURE_STATS_PATH
    computed = _write(batches, options, path)
    if options.schema is not None:
        anomalies = tfdv.validate_statistics(computed, options.schema)
        (path.parent / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())


def _vocabulary_paths(graph: Path) -> dict[str, str]:
    asset_map = graph / tft.TFTransformOutput.TRANSFORMED_METADATA_DIR / tft.TFTransformOutput.ASSET_MAP
    assets = graph / tft.TFTransformOutput.TRANSFORM_FN_DIR / tf.saved_model.ASSETS_DIRECTORY
    names = json.loads(asset_map.read_text()) if asset_map.exists() else {}
    return {key: str(assets / name) for key, name in names.items()}


def _write(batches: Iterable[pa.RecordBatch], options: tfdv.StatsOptions, path: Path) -> Any:
    computed = statistics(batches, options)
    path.parent.mkdir()
    path.write_bytes(computed.SerializeToString())
    if options.schema is not None:
        (path.parent / "schema.pbtxt").write_text(text_format.MessageToString(options.schema))
    return computed
