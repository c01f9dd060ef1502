"""Stages at every possible place in a pipeline, each with its own resources, and profiles that add to them."""

from kfp import dsl

from taxiway.dsl import ExampleGen, Resources, SchemaGen, StatisticsGen, Volume, resources

CLAIM = Resources(volumes=(Volume("inner-data", "/data"),))


@dsl.pipeline(name="innermost")
@resources({"schema-gen": Resources(memory="1Gi")}, {"cluster": {"schema-gen": Resources(cpu="3")}})
def innermost(statistics: dsl.Input[dsl.Artifact]):
    SchemaGen(statistics=statistics)


@dsl.pipeline(name="between")
def between(statistics: dsl.Input[dsl.Artifact]):
    innermost(statistics=statistics)


@dsl.pipeline(name="inner")
@resources(
    {"example-gen": Resources(memory="2Gi"), "statistics-gen": Resources(memory="3Gi")},
    {"cluster": {"example-gen": CLAIM}, "big": {"statistics-gen": Resources(memory="4Gi")}},
)
def inner(data: str):
    examples = ExampleGen(input_path=data).outputs["examples"]
    with dsl.ParallelFor([1, 2]):
        statistics = StatisticsGen(examples=examples).outputs["statistics"]
        between(statistics=statistics)


@dsl.pipeline(name="outer")
def outer(data: str, again: bool = False):
    with dsl.If(again == True):  # noqa: E712
        inner(data=data)
    inner(data=data)
