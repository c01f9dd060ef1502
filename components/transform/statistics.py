"""Statistics of the rows before and after the transform, as TFX's Transform computes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.transform.preprocessing import config_arguments
from components.user_code import user_modules

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList
UpdateOptions = Callable[[str, tfdv.StatsOptions], tfdv.StatsOptions]
_UPDATER = "stats_options_updater_fn"


def load_options_updater(module: str, custom_config: Mapping[str, Any]) -> UpdateOptions:
    """The module's `stats_options_updater_fn`, TFX's hook for statistics options; without it they stay unchanged."""
    if _UPDATER not in user_modules.functions(module):
        return lambda _, options: options
    # TFX takes seconds to import, and only modules that were written for it need its enum.
    from tfx.components.transform.stats_options_util import StatsType

    function = user_modules.load(module, _UPDATER)
    config = config_arguments(function, custom_config)
    return lambda kind, options: user_modules.call(function, StatsType[kind], options, **config)


def options_before(schema: schema_pb2.Schema, update: UpdateOptions) -> tfdv.StatsOptions:
    """TFDV's options for the analyzed rows, by the raw schema."""
    return update("PRE_TRANSFORM", tfdv.StatsOptions(schema=schema, experimental_use_sketch_based_topk_uniques=True))


def options_after(graph: Path, update: UpdateOptions) -> tfdv.StatsOptions:
    """TFDV's options for the transformed rows, by the schema and the vocabularies of a TransformGraph's folder."""
    options = tfdv.StatsOptions(
        schema=tft.TFTransformOutput(str(graph)).transformed_metadata.schema,
        vocab_paths=_vocabulary_paths(graph),
        experimental_use_sketch_based_topk_uniques=True,
    )
    return update("POST_TRANSFORM", options)


def _vocabulary_paths(graph: Path) -> dict[str, str]:
    asset_map = graph / tft.TFTransformOutput.TRANSFORMED_METADATA_DIR / tft.TFTransformOutput.ASSET_MAP
    assets = graph / tft.TFTransformOutput.TRANSFORM_FN_DIR / tf.saved_model.ASSETS_DIRECTORY
    names = json.loads(asset_map.read_text()) if asset_map.exists() else {}
    return {key: str(assets / name) for key, name in names.items()}


def write_before(computed: Statistics, options: tfdv.StatsOptions, graph: Path) -> None:
    """Writes `pre_transform_feature_stats`."""
    _write(computed, options, graph / tft.TFTransformOutput.PRE_TRANSFORM_FEATURE_STATS_PATH)


def write_after(computed: Statistics, options: tfdv.StatsOptions, graph: Path) -> None:
    """Writes `post_transform_feature_stats`, and the anomalies of the transformed rows."""
    path = graph / tft.TFTransformOutput.POST_TRANSFORM_FEATURE_STATS_PATH
    _write(computed, options, path)
    if options.schema is not None:
        anomalies = tfdv.validate_statistics(computed, options.schema)
        (path.parent / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString(deterministic=True))


def _write(computed: Statistics, options: tfdv.StatsOptions, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(computed.SerializeToString(deterministic=True))
    if options.schema is not None:
        (path.parent / "schema.pbtxt").write_text(text_format.MessageToString(options.schema))
