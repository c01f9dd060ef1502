"""ExampleValidator: statistics are held against the schema, earlier statistics and another set."""

from __future__ import annotations

from components.artifacts import ExampleAnomalies, ExampleStatistics, FilePath, Input, Output, Schema


def example_validator(
    statistics: Input[ExampleStatistics],
    schema: Input[Schema],
    anomalies: Output[ExampleAnomalies],
    previous_statistics: Input[ExampleStatistics] | None = None,
    serving_statistics: Input[ExampleStatistics] | None = None,
    environment: str = "",
    custom_validations: FilePath = "",
    splits: list = [],
    fail_on_anomalies: bool = True,
) -> None:
    """Finds anomalies: against the schema, drift from earlier statistics, skew against serving, custom checks.

    Args:
        statistics: The statistics to validate.
        schema: What is expected; its drift and skew comparators say how far a feature may move.
        anomalies: `SchemaDiff.pb` a split.
        previous_statistics: Earlier statistics, compared by the schema's drift comparators.
        serving_statistics: Another set's statistics, compared by the schema's skew comparators.
        environment: The schema environment to validate in.
        custom_validations: A file with TFDV's CustomValidationConfig (text proto).
        splits: The splits to validate; all by default.
        fail_on_anomalies: Fail, naming feature, reason and value; else only record them.
    """
    raise NotImplementedError
