"""A pipeline with task names that also occur in a sub-pipeline, a loop, and a task that needs a GPU."""

from kfp import dsl

from taxiway.dsl import (
    Baseline,
    ExampleGen,
    Pusher,
    Resources,
    SchemaGen,
    Secret,
    StatisticsGen,
    Toleration,
    Volume,
    resources,
)

STAGES = {
    "baseline": Resources(
        cpu="500m",
        cpu_limit="1",
        memory="1Gi",
        secrets=(Secret("bucket", {"key-id": "AWS_ACCESS_KEY_ID"}, "/etc/bucket"),),
        volumes=(Volume("models", "/models"),),
    )
}
GPU = Resources(
    gpus=2,
    memory_limit="2Gi",
    image="gpu-image:1",
    volumes=(Volume("cache", "/cache"),),
    node_selector={"nvidia.com/gpu.present": "true"},
    tolerations=(Toleration("nvidia.com/gpu"),),
)


@dsl.pipeline(name="described")
def described(examples: dsl.Input[dsl.Dataset]) -> dsl.Artifact:
    statistics = StatisticsGen(examples=examples).outputs["statistics"]
    return SchemaGen(statistics=statistics).outputs["schema"]


@dsl.pipeline(name="small")
@resources(STAGES, {"gpu": {"baseline": GPU}})
def small(data: str, splits: list = ["train"], models: str = "/models"):
    examples = ExampleGen(input_path=data).outputs["examples"]
    StatisticsGen(examples=examples).set_retry(2)
    described(examples=examples)
    candidate = dsl.importer(artifact_uri="/models/1", artifact_class=dsl.Model).output
    baseline = Baseline(candidate=candidate, destination=models)
    with dsl.ParallelFor(splits):
        SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"])
    with dsl.If(baseline.outputs["found"] == True):  # noqa: E712
        Pusher(model=baseline.outputs["model"], destination=models)
