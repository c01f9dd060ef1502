"""ExampleValidator: statistics are held against the schema, earlier statistics and another set.

TFX's own ExampleValidator never runs the drift and skew comparators of a schema; this one does, where it is given the
statistics to compare with. The log has each measured distance beside its threshold, and says which comparators had
nothing to compare with.

Custom validations are SQL conditions on the fields of TFDV's FeatureNameStatistics, evaluated by SQLite:

    feature_validations {
      feature_path { step: "fare" }
      validations {
        sql_expression: "feature.num_stats.num_zeros < 300"
        description: "free rides are rare"
        severity: ERROR
      }
    }

For a pair of features the names are `feature_test` and `feature_base`. TFDV 1.21 itself has no custom validations any
more; lists and subqueries, which GoogleSQL had there, are not available.
"""

from __future__ import annotations

from components.contract.artifacts import (
    ExampleAnomalies,
    ExampleStatistics,
    FilePath,
    Input,
    Output,
    Schema,
    StatisticsSplits,
)


def example_validator(
    statistics: Input[ExampleStatistics],
    schema: Input[Schema],
    anomalies: Output[ExampleAnomalies],
    previous_statistics: Input[ExampleStatistics] | None = None,
    serving_statistics: Input[ExampleStatistics] | None = None,
    environment: str = "",
    custom_validations: FilePath = "",
    splits: StatisticsSplits = [],
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
        custom_validations: A file with TFDV's CustomValidationConfig (text proto); pairs compare with
            previous_statistics, or with serving_statistics where there are none.
        splits: The splits to validate; all by default.
        fail_on_anomalies: Fail, naming feature, reason and value, unless all are warnings; else only record them.
    """
    from components.example_validator.validate import Expectations, validate

    expected = Expectations(schema, previous_statistics, serving_statistics, environment, custom_validations)
    validate(statistics, expected, anomalies, splits, fail_on_anomalies)
