"""The stages up to data validation, for tests that need no model."""

from kfp import dsl

from taxiway.dsl import ExampleGen, ExampleValidator, SchemaGen, StatisticsGen


@dsl.pipeline(name="early")
def early(data: str = "data/chicago_taxi", schema_file: str = ""):
    """From the raw trips to validated statistics."""
    examples = ExampleGen(input_path=data).outputs["examples"]
    statistics = StatisticsGen(examples=examples).outputs["statistics"]
    schema = SchemaGen(statistics=statistics, schema_file=schema_file).outputs["schema"]
    ExampleValidator(statistics=statistics, schema=schema)
