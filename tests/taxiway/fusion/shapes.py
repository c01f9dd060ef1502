"""Pipelines for the tests of fusion, each with one special case."""

from kfp import dsl

from taxiway.dsl import (
    Baseline,
    Evaluator,
    ExampleGen,
    ExampleValidator,
    Pusher,
    Resources,
    SchemaGen,
    Secret,
    StatisticsGen,
    Toleration,
    Transform,
    Volume,
    resources,
)

DATA = Resources(cpu="250m", memory="1Gi", memory_limit="2Gi", volumes=(Volume("data", "/data"),))
STATISTICS = Resources(cpu="2", memory="512Mi", memory_limit="4Gi", secrets=(Secret("bucket", {"id": "KEY"}),))


@dsl.container_component
def strange(examples: dsl.Input[dsl.Dataset], copied: dsl.Output[dsl.Dataset]):
    """A container that is not a Taxiway stage in the middle."""
    return dsl.ContainerSpec(image="alpine", command=["cp", "-r", examples.path, copied.path])


@dsl.pipeline(name="plain")
@resources(
    {"example-gen": DATA, "statistics-gen": STATISTICS, "schema-gen": Resources(cpu="500m")},
    {
        "gpu": {"statistics-gen": Resources(gpus=1)},
        "node": {"schema-gen": Resources(node_selector={"disk": "ssd"})},
        "tolerant": {"schema-gen": Resources(tolerations=(Toleration("spot"),))},
        "clash": {"schema-gen": Resources(volumes=(Volume("other", "/data"),))},
        "image": {"schema-gen": Resources(image="registry.example/own:1")},
        "registry": {"schema-gen": Resources(image="registry.example/taxiway-data:1")},
    },
)
def plain(data: str, folder: str = "raw") -> dsl.Artifact:
    examples = ExampleGen(input_path=f"{data}/{folder}", allow_unversioned=True).outputs["examples"]
    statistics = StatisticsGen(examples=examples).set_retry(2).outputs["statistics"]
    return SchemaGen(statistics=statistics).set_retry(3).outputs["schema"]


@dsl.pipeline(name="with-stranger")
def with_stranger(data: str):
    examples = ExampleGen(input_path=data).outputs["examples"]
    own = StatisticsGen(examples=examples).outputs["statistics"]
    copied = strange(examples=examples).outputs["copied"]
    statistics = StatisticsGen(examples=copied).outputs["statistics"]
    schema = SchemaGen(statistics=statistics).outputs["schema"]
    ExampleValidator(statistics=own, schema=schema)


@dsl.pipeline(name="described")
def described(examples: dsl.Input[dsl.Dataset]) -> dsl.Artifact:
    statistics = StatisticsGen(examples=examples).outputs["statistics"]
    return SchemaGen(statistics=statistics).outputs["schema"]


@dsl.pipeline(name="nested")
def nested(data: str, sizes: list = [1, 2]):
    examples = ExampleGen(input_path=data).outputs["examples"]
    schema = described(examples=examples).output
    with dsl.ParallelFor(sizes) as size:
        made = ExampleGen(input_path=data, span=size).outputs["examples"]
        Transform(examples=made, schema=schema, module="model")


@dsl.pipeline(name="judged")
def judged(destination: str, wanted: bool = True):
    model = dsl.importer(artifact_uri="model", artifact_class=dsl.Model).output
    examples = dsl.importer(artifact_uri="examples", artifact_class=dsl.Dataset).output
    baseline = Baseline(candidate=model, destination=destination)
    evaluated = Evaluator(
        examples=examples, model=model, baseline_model=baseline.outputs["model"], eval_config={}
    ).set_caching_options(False)
    with dsl.If(evaluated.outputs["blessed"] == True):  # noqa: E712 (kfp builds the condition from ==)
        Pusher(model=model, blessing=evaluated.outputs["blessing"], destination=destination)
    with dsl.If(wanted == True):  # noqa: E712
        Pusher(model=model, blessing=evaluated.outputs["blessing"], destination=f"{destination}-wanted")
    with dsl.If(evaluated.outputs["blessed"] == False):  # noqa: E712
        Baseline(candidate=baseline.outputs["model"], destination=destination)


@dsl.pipeline(name="lonely")
def lonely(data: str):
    ExampleGen(input_path=data)
