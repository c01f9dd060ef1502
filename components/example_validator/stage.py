"""ExampleValidator: checks statistics against the schema, earlier statistics and serving statistics.

TFX's own ExampleValidator never runs the drift and skew comparators of a schema. This one runs them if it has the
statistics to compare with. The log shows each measured distance with its threshold, and which comparators had nothing
to compare with.

Custom validations are SQL conditions on the fields of TFDV's FeatureNameStatistics, evaluated by SQLite:

    feature_validations {
      feature_path { step: "fare" }
      validations {
        sql_expression: "feature.num_stats.num_zeros < 300"
        description: "free rides are rare"
        severity: ERROR
      }
    }

For a pair of features the names are `feature_test` and `feature_base`. TFDV 1.21 itself no longer has custom
validations. Lists and subqueries, which earlier versions supported through GoogleSQL, are not available.
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
from components.contract.declaration import Stage
from components.contract.libraries import TENSORFLOW, VALIDATION


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
    """Finds anomalies: violations of the schema, drift, skew, and failed custom checks.

    Args:
        statistics: The statistics to validate.
        schema: The expected data; its drift and skew comparators limit how far a feature may move.
        anomalies: One `SchemaDiff.pb` for each split.
        previous_statistics: Earlier statistics, compared by the schema's drift comparators.
        serving_statistics: Statistics of serving or other data, compared by the schema's skew comparators.
        environment: The schema environment to validate in.
        custom_validations: A file with TFDV's CustomValidationConfig (text proto). Pairs compare with
            previous_statistics if given, else with serving_statistics.
        splits: The splits to validate; all by default.
        fail_on_anomalies: Fail on any anomaly that is not a warning, naming feature, reason and value; otherwise only
            record anomalies.
    """
    from components.example_validator.validate import Expectations, validate

    expected = Expectations(schema, previous_statistics, serving_statistics, environment, custom_validations)
    validate(statistics, expected, anomalies, splits, fail_on_anomalies)


STAGE = Stage(
    function=example_validator, image="data", loads=(TENSORFLOW, VALIDATION), after="schema_gen", has_report=True
)
