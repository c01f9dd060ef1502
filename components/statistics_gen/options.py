"""The stage's `options` as `tfdv.StatsOptions`: every name and type checked before any row is read."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow_data_validation as tfdv
from google.protobuf import json_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public.proto import slicing_spec_pb2

from components.contract.errors import UserError
from components.upstream.tfdv import get_generators

SLICING_COLUMNS = "slicing_columns"
"""Our own option: columns to slice by, one at a time; TFDV's `slicing_config` can do more."""

_ELSEWHERE = {
    "schema": "give the schema as the stage's input `schema`",
    "generators": "call components.statistics_gen.compute.statistics with StatsOptions from Python",
    "slice_functions": "use slicing_columns or slicing_config",
    "experimental_slice_functions": "use slicing_columns or slicing_config",
    "slicing_sqls": "TFDV 1.21 does not slice by SQL; use slicing_columns or slicing_config",
    "infer_type_from_schema": "example_gen determines the types of CSV columns",
    "experimental_filter_read_paths": "leave it out: with feature_allowlist only those columns are read",
    "per_feature_stats_config": "TFDV ignores it; leave it out",
}


def stats_options(options: Mapping[str, Any], schema: schema_pb2.Schema | None = None) -> tfdv.StatsOptions:
    """Makes TFDV's options from JSON values.

    Args:
        options: TFDV's options by name, `slicing_config` as JSON, and `slicing_columns`.
        schema: The schema that TFDV uses.

    Raises:
        UserError: A name or a value is wrong; suggests the nearest name, or the allowed ones.
    """
    types = _types()
    for name in options:
        _check_name(name, types)
    values = {name: _value(name, value, types[name]) for name, value in options.items()}
    if columns := values.pop(SLICING_COLUMNS, None):
        values["slicing_config"] = _with_columns(values.get("slicing_config"), columns)
    try:
        made = tfdv.StatsOptions(schema=schema, **values)
        get_generators(made)
    except (TypeError, ValueError) as error:
        raise UserError(f"TFDV refuses the statistics options: {error}") from error
    _check_allowlist(made)
    return made


def columns_named(options: tfdv.StatsOptions) -> set[str]:
    """The columns that the options name, which the data must have."""
    sliced = [
        name
        for spec in (options.slicing_config.slicing_specs if options.slicing_config else ())
        for name in (*spec.feature_keys, *spec.feature_values)
    ]
    label = [options.label_feature] if options.label_feature else []
    return {*(options.feature_allowlist or ()), *label, *sliced, *options.example_weight_map.all_weight_features()}


def unknown_column(name: str, known: Iterable[str]) -> UserError:
    """The error for a column that is not in the data."""
    known = sorted(known)
    return UserError(f"the statistics options name {name!r}, which is not a column", fix=_nearest(name, known))


def _types() -> dict[str, type]:
    """The Python type of each option, from TFDV's own annotations."""
    hints = typing.get_type_hints(tfdv.StatsOptions.__init__)
    known = {name: _plain(hint) for name, hint in hints.items() if name not in (*_ELSEWHERE, "return")}
    return {**known, SLICING_COLUMNS: list, "slicing_config": dict}


def _plain(hint: Any) -> type:
    """`Optional[List[...]]` is list; of a union the first member counts."""
    while typing.get_origin(hint) is typing.Union:
        hint = typing.get_args(hint)[0]
    kind: type = typing.get_origin(hint) or hint
    return kind


def _check_name(name: str, types: Mapping[str, type]) -> None:
    if name in _ELSEWHERE:
        raise UserError(f"the statistics option {name!r} cannot be given here", fix=_ELSEWHERE[name])
    if name not in types:
        raise UserError(f"there is no statistics option {name!r}", fix=_nearest(name, list(types)))


def _value(name: str, value: Any, kind: type) -> Any:
    typed = _typed(name, value, kind)
    if name == "slicing_config":
        return _slicing_config(typed)
    if kind in (list, dict):
        _check_texts(name, typed)
    return _weight_overrides(typed) if name == "per_feature_weight_override" else typed


def _typed(name: str, value: Any, kind: type) -> Any:
    # Compiled pipelines store every number as a double.
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f"the statistics option {name!r} takes {kind.__name__}, not {value!r}")
    return value


def _check_texts(name: str, value: list[Any] | dict[str, Any]) -> None:
    for item in value.values() if isinstance(value, dict) else value:
        if not isinstance(item, str):
            raise UserError(f"the statistics option {name!r} takes names, not {item!r}")


def _slicing_config(value: dict[str, Any]) -> slicing_spec_pb2.SlicingConfig:
    try:
        config = json_format.ParseDict(value, slicing_spec_pb2.SlicingConfig())
    except json_format.ParseError as error:
        raise UserError(
            f"the statistics option 'slicing_config' is wrong: {error}",
            fix='write it as {"slicing_specs": [{"feature_keys": ["column"], "feature_values": {"column": "value"}}]}',
        ) from error
    if any(spec.slice_keys_sql for spec in config.slicing_specs):
        raise UserError("'slice_keys_sql' cannot be given here", fix=_ELSEWHERE["slicing_sqls"])
    return config


def _weight_overrides(value: dict[str, str]) -> dict[tfdv.FeaturePath, str]:
    return {tfdv.FeaturePath([feature]): weight for feature, weight in value.items()}


def _with_columns(config: slicing_spec_pb2.SlicingConfig | None, columns: list[str]) -> slicing_spec_pb2.SlicingConfig:
    config = config or slicing_spec_pb2.SlicingConfig()
    for column in columns:
        config.slicing_specs.add(feature_keys=[column])
    return config


def _check_allowlist(options: tfdv.StatsOptions) -> None:
    """Checks that weights and slices use columns of the allowlist, because TFDV applies the allowlist first."""
    if options.feature_allowlist:
        for name in sorted(columns_named(options) - set(options.feature_allowlist)):
            raise UserError(
                f"the statistics options use the column {name!r}, which feature_allowlist leaves out",
                fix=f"add {name!r} to feature_allowlist",
            )


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
