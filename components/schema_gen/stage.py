"""SchemaGen: statistics become a schema, or a curated one is taken."""

from __future__ import annotations

from components.artifacts import ExampleStatistics, FilePath, Input, Output, Schema


def schema_gen(
    statistics: Input[ExampleStatistics],
    schema: Output[Schema],
    schema_file: FilePath = "",
    infer_feature_shape: bool = True,
    splits: list = [],
) -> None:
    """Infers a schema from statistics, or takes a curated schema file as it is.

    Args:
        statistics: The statistics to infer from.
        schema: `schema.pbtxt`.
        schema_file: A curated schema (text proto); where given nothing is inferred, and its environments stay.
        infer_feature_shape: Give features that have one value in every row a fixed shape.
        splits: The splits to infer from; all by default.
    """
    raise NotImplementedError
