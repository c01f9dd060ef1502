"""Compiled pipelines before and after fusion: groups, names, inputs and outputs, resources."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec

from components.contract.errors import UserError
from components.execution import stages
from components.fused import plan
from taxiway import loading
from taxiway.checks import check
from taxiway.fusion import members, raw
from taxiway.fusion.fuse import fused
from taxiway.kubeflow import compilation
from taxiway.language import spec
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import Task
from taxiway.language.values import Json
from tests.taxiway.fusion import shapes

DATA, JUDGEMENT = "example-gen-to-transform", "baseline-to-pusher"
SHAPES = [shapes.plain, shapes.with_stranger, shapes.nested]


@pytest.fixture(scope="module")
def taxi() -> Pipeline:
    return loading.load("chicago_taxi")


def _tasks(pipeline: Pipeline) -> dict[str, Task]:
    return {leaf.name: leaf.task for leaf in spec.leaves(pipeline)}


def _order(pipeline: Pipeline) -> list[str]:
    return [name for name, _ in pipeline.root.dag.ordered()]


def _document(pipeline: Pipeline, name: str) -> Json:
    """A task in the root DAG, as compiled."""
    return dict(pipeline.spec["root"]["dag"]["tasks"][name])


def _container(pipeline: Pipeline, name: str) -> Json:
    component = next(leaf.component for leaf in spec.leaves(pipeline) if leaf.name == name)
    return dict(pipeline.executor(component).container.written)


def _profiled(*profiles: str) -> Pipeline:
    return fused(loading.compiled(compilation.cluster_resources.rebuilt(shapes.plain, profiles)))


def test_the_taxi_pipeline_has_three_pods_and_no_conditions_driver(taxi: Pipeline) -> None:
    changed = fused(taxi)
    assert _order(changed) == [DATA, "trainer", JUDGEMENT]
    assert not any("dag" in component for component in changed.spec["components"].values())
    assert _container(changed, DATA)["image"].startswith("taxiway-train:")
    assert fused(taxi) == changed
    assert "fused" not in str(taxi.spec)


def test_outputs_keep_their_types_and_marks(taxi: Pipeline) -> None:
    changed = fused(taxi)
    kept: Json = {}
    for task in (DATA, JUDGEMENT):
        for kind, found in raw.component(changed, _document(changed, task))["outputDefinitions"].items():
            kept |= {(kind, name): definition for name, definition in found.items()}
    before = {
        (kind, f"{leaf.name.replace('-', '_')}__{name}"): definition
        for leaf in spec.leaves(taxi)
        if leaf.name != "trainer"
        for kind, found in leaf.component.outputs.written.items()
        for name, definition in found.items()
    }
    assert kept == before
    assert kept["artifacts", "evaluator__blessing"]["description"].startswith("[ModelBlessing] ")


def test_without_cache_all_members_are_uncached(taxi: Pipeline) -> None:
    def cached(pipeline: Pipeline) -> set[str]:
        ours = [executor for executor in pipeline.spec["deploymentSpec"]["executors"].values() if raw.stage(executor)]
        plans = [executor["container"]["args"][3] for executor in ours if raw.stage(executor) == plan.NAME]
        return {member.name for text in plans for member in plan.read(text) if member.cached}

    # It reads the pushed versions, so it is never cached.
    together = fused(taxi)
    assert "baseline" not in cached(together)
    assert {"transform", "evaluator", "pusher"} <= cached(together)
    assert cached(compilation.without_cache(together)) == set()


def test_a_condition_is_fused_with_its_task(taxi: Pipeline) -> None:
    changed = fused(taxi)
    leaf = next(leaf for leaf in spec.leaves(changed) if leaf.name == JUDGEMENT)
    listed = members.members(leaf.task, leaf.component, changed.executor(leaf.component))
    *others, pusher = (each.member for each in listed)
    assert [each.name for each in others] == ["baseline", "evaluator", "infra-validator"]
    assert {each.condition for each in others} == {""}
    assert pusher.condition == "inputs.parameter_values['pipelinechannel--evaluator-blessed'] == true"
    assert pusher.compared["pipelinechannel--evaluator-blessed"].member == "evaluator"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.name))
def test_a_split_pipeline_is_wired_as_before(shape: Any) -> None:
    before = loading.compiled(shape)
    after = members.unfused(fused(before))
    assert _wires(after.spec["root"], after) == _wires(before.spec["root"], before)
    assert after.spec["root"]["dag"].get("outputs") == before.spec["root"]["dag"].get("outputs")


def _wires(component: Json, pipeline: Pipeline) -> Json:
    """The inputs of each task of a DAG, including nested tasks."""
    found = {}
    for name, task in component["dag"]["tasks"].items():
        inner = raw.component(pipeline, task)
        inputs = {kind: given for kind, given in task.get("inputs", {}).items() if given}
        found[name] = inputs, _wires(inner, pipeline) if "dag" in inner else raw.stage(raw.executor(pipeline, inner))
    return found


@pytest.mark.parametrize("shape", [*SHAPES, shapes.judged], ids=lambda shape: str(shape.name))
def test_kfp_accepts_a_fused_pipeline(shape: Any, tmp_path: Path) -> None:
    changed = fused(loading.compiled(shape))
    json_format.ParseDict(changed.spec, PipelineSpec())
    compilation.write(changed, tmp_path / "fused.yaml")
    components.load_component_from_file(str(tmp_path / "fused.yaml"))
    read = spec.read(tmp_path / "fused.yaml")
    assert _tasks(read).keys() == _tasks(changed).keys()


def test_another_projects_container_is_not_fused_and_no_group_depends_on_itself() -> None:
    changed = fused(loading.compiled(shapes.with_stranger))
    assert _order(changed) == [
        "example-gen-to-statistics-gen",
        "strange",
        "statistics-gen-2-to-example-validator",
    ]
    before = loading.compiled(shapes.with_stranger)
    assert _container(changed, "strange") == _container(before, "strange")


def test_sub_pipelines_and_loops_are_fused_inside() -> None:
    names = list(_tasks(fused(loading.compiled(shapes.nested))))
    assert names == ["example-gen", "described/statistics-gen-to-schema-gen", "example-gen-2-to-transform"]


def test_a_condition_with_parameter_outputs_is_not_fused() -> None:
    changed = fused(loading.compiled(shapes.judged))
    assert set(_tasks(changed)) == {"importer", "importer-2", "baseline-to-pusher-2", "baseline-2"}
    branch = _document(changed, "condition-3")
    expected = {"outputParameterKey": "evaluator__blessed", "producerTask": "baseline-to-pusher-2"}
    assert {"taskOutputParameter": expected} in branch["inputs"]["parameters"].values()
    assert "baseline-to-pusher-2" in branch["dependentTasks"]


def test_resources_are_the_groups_maximum() -> None:
    changed = _profiled()
    name = "example-gen-to-schema-gen"
    limits = _container(changed, name)["resources"]
    assert limits["resourceCpuRequest"] == "2"
    assert limits["resourceMemoryRequest"] == "1Gi"
    # One of them has no limit.
    assert "resourceMemoryLimit" not in limits
    platform = raw.platform(changed, raw.component(changed, _document(changed, name)))
    assert [mount["mountPath"] for mount in platform["pvcMount"]] == ["/data"]
    assert [secret["secretName"] for secret in platform["secretAsEnv"]] == ["bucket"]
    assert platform["securityContext"] == {"runAsNonRoot": True}
    assert _tasks(changed)[name].retry.times == 3
    assert _tasks(changed)[name].is_cached
    assert not _tasks(fused(loading.compiled(shapes.judged)))["baseline-to-pusher-2"].is_cached


@pytest.mark.parametrize(
    ("images", "chosen"),
    [
        ("registry.example/data/taxiway-{kind}:1", "registry.example/data/taxiway-train:1"),
        ("registry.example/all-train:1", "registry.example/all-train:1"),
        ("registry.example/everything:1", "registry.example/everything:1"),
    ],
)
def test_the_image_has_the_packages_of_all_members(taxi: Pipeline, images: str, chosen: str) -> None:
    elsewhere = replace(taxi, spec=copy.deepcopy(taxi.spec))
    for executor in elsewhere.spec["deploymentSpec"]["executors"].values():
        kind = stages.load(raw.stage(executor)).image
        executor["container"]["image"] = images.replace("{kind}", kind)
    changed = fused(elsewhere)
    assert {_container(changed, name)["image"] for name in (DATA, JUDGEMENT)} == {chosen}


@pytest.mark.parametrize(
    ("profile", "pods"),
    [
        ("tolerant", {"example-gen-to-schema-gen"}),
        ("node", {"example-gen-to-statistics-gen", "schema-gen"}),
        ("image", {"example-gen-to-statistics-gen", "schema-gen"}),
        ("registry", {"example-gen-to-statistics-gen", "schema-gen"}),
    ],
)
def test_tasks_of_one_pod_have_the_same_placement_and_image(profile: str, pods: set[str]) -> None:
    assert set(_tasks(_profiled(profile))) == pods


@pytest.mark.parametrize("profile", ["gpu", "clash"])
def test_nothing_to_fuse_is_reported(profile: str) -> None:
    """A stage with a GPU is not fused; two volume claims cannot be mounted at one path."""
    with pytest.raises(UserError, match=r"(?s)plain has no neighbouring stages.*fix: leave out --fuse"):
        _profiled(profile)


def test_settings_of_the_cache_are_set_and_are_in_no_key() -> None:
    compiled = copy.deepcopy(loading.compiled(shapes.plain))
    settings = ["TAXIWAY_STAGE_CACHE", "TAXIWAY_STAGE_CACHE_DAYS", "SETTING"]
    for executor in compiled.spec["deploymentSpec"]["executors"].values():
        executor["container"]["env"] = [{"name": name, "value": "1"} for name in settings]
    [task] = _tasks(fused(compiled))
    container = _container(fused(compiled), task)
    assert [variable["name"] for variable in container["env"]] == settings
    [text] = [argument for argument in container["args"] if '"variables"' in argument]
    assert {member.variables for member in plan.read(text)} == {("SETTING",)}


def test_inlined_modules_are_included_once() -> None:
    changed = compilation.compiled("chicago_taxi", inline_modules=True, fuse=True)
    container = _container(changed, DATA)
    assert container["args"].count("--modules") == 1
    assert [variable["name"] for variable in container["env"]] == ["TAXIWAY_COMMIT"]
    assert spec.inlined_modules(changed) == spec.inlined_modules(
        compilation.compiled("chicago_taxi", inline_modules=True)
    )


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"module": "no.such.module"}, "transform: .*no.such.module"),
        ({"data": "no/such/data"}, "example-gen: .*no/such/data"),
        ({"eval_config": '{"slicing_spec": []}'}, "evaluator: .*slicing_spec"),
    ],
)
def test_check_has_the_same_findings_for_members_as_for_tasks(taxi: Pipeline, parameters: Json, fault: str) -> None:
    given = {"allow_unversioned": True, **parameters}
    findings = check.findings(taxi, given)
    assert check.findings(fused(taxi), given) == findings
    with pytest.raises(AssertionError, match=fault):
        raise AssertionError("\n".join(findings))


def test_only_the_trainer_keeps_its_own_container() -> None:
    assert [stage.name for stage in stages.in_order() if stage.alone] == ["trainer"]


def test_a_single_stage_is_not_a_group() -> None:
    with pytest.raises(UserError, match="no neighbouring stages"):
        fused(loading.compiled(shapes.lonely))
