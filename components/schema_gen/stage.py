"""SchemaGen: infers a schema from statistics, or uses a curated one.

An inferred schema is what TFDV's `infer_schema` makes of the first split, extended to the data of the others. Copy it
from the run's artifacts, edit it, keep it in Git beside the pipeline and name it in `schema_file`: from then on new
data are checked against what you expect. The file is kept byte for byte, with its environments, comparators, domains
and comments.

The stage refuses a file that is not a text proto of a Schema (the error names line and column) or has no features.
"""

from __future__ import annotations

from components.contract.artifacts import ExampleStatistics, FilePath, Input, Output, Schema, StatisticsSplits
from components.contract.declaration import Stage
from components.contract.libraries import TENSORFLOW, VALIDATION


def schema_gen(
    statistics: Input[ExampleStatistics],
    schema: Output[Schema],
    schema_file: FilePath = "",
    infer_feature_shape: bool = True,
    splits: StatisticsSplits = [],
) -> None:
    """Infers a schema from statistics, or copies a curated schema file as it is.

    Args:
        statistics: The statistics to infer from.
        schema: `schema.pbtxt`.
        schema_file: A curated schema (text proto). If given, it is copied unchanged, and nothing is inferred.
        infer_feature_shape: Give a fixed shape to features that have one value in every row.
        splits: The splits to infer from; all by default.
    """
    if schema_file:
        from pathlib import Path

        from components.schema_gen.curated import take

        take(Path(schema_file), schema)
    else:
        from components.schema_gen.infer import infer

        infer(statistics, schema, splits, infer_feature_shape)


STAGE = Stage(
    function=schema_gen, image="data", loads=(TENSORFLOW, VALIDATION), after="statistics_gen", has_report=True
)
