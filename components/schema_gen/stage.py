"""SchemaGen: statistics become a schema, or a curated one is taken.

Inferred, it is what TFDV's `infer_schema` makes of the first split, extended by what the others hold. Take it out of
the run's artifacts, edit it, keep it in Git beside the pipeline and name it in `schema_file`: from then on new data are
held against what you expect. TFDV's environments, comparators, domains and comments in the file are kept byte for byte.

Refused: a file that is no text proto of a Schema (names line and column), or has no features.
"""

from __future__ import annotations

from components.contract.artifacts import ExampleStatistics, FilePath, Input, Output, Schema, StatisticsSplits


def schema_gen(
    statistics: Input[ExampleStatistics],
    schema: Output[Schema],
    schema_file: FilePath = "",
    infer_feature_shape: bool = True,
    splits: StatisticsSplits = [],
) -> None:
    """Infers a schema from statistics, or takes a curated schema file as it is.

    Args:
        statistics: The statistics to infer from.
        schema: `schema.pbtxt`.
        schema_file: A curated schema (text proto); where given nothing is inferred, and its environments stay.
        infer_feature_shape: Give features that have one value in every row a fixed shape.
        splits: The splits to infer from; all by default.
    """
    if schema_file:
        from pathlib import Path

        from components.schema_gen.curated import take

        take(Path(schema_file), schema)
    else:
        from components.schema_gen.infer import infer

        infer(statistics, schema, splits, infer_feature_shape)
