"""Compiled pipelines: resources by profile, custom resources, and inlined modules."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import dsl

from components.contract.errors import UserError
from components.execution.provenance import COMMIT_VARIABLE
from components.user_code import user_modules
from taxiway import loading
from taxiway.checks import check
from taxiway.dsl import ExampleGen, Resources, image, resources
from taxiway.kubeflow import compilation
from taxiway.language import spec
from taxiway.language.executors import Executor
from taxiway.language.spec import Pipeline
from tests.taxiway.kubeflow.conftest import SMALL

ROOT = Path(__file__).parents[3]
MODULE = "pipelines.chicago_taxi.model"
STAGES = ("example-gen", "transform", "trainer", "evaluator", "pusher")


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def _container(pipeline: Pipeline, name: str) -> dict[str, Any]:
    return dict(pipeline.spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"])


def _kubernetes(pipeline: Pipeline, name: str) -> dict[str, Any]:
    executors = pipeline.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return dict(executors.get(f"exec-{name}", {}))


def test_resources_are_in_the_compiled_pipeline(small: Pipeline) -> None:
    container = _container(small, "baseline")
    assert container["resources"] == {
        "cpuRequest": 0.5,
        "cpuLimit": 1.0,
        "memoryRequest": 1.073741824,
        "memoryLimit": 1.073741824,
        "resourceCpuRequest": "500m",
        "resourceCpuLimit": "1",
        "resourceMemoryRequest": "1Gi",
        "resourceMemoryLimit": "1Gi",
    }
    settings = _kubernetes(small, "baseline")
    assert settings["pvcMount"][0]["mountPath"] == "/models"
    assert settings["secretAsEnv"][0]["keyToEnv"] == [{"envVar": "AWS_ACCESS_KEY_ID", "secretKey": "key-id"}]
    assert settings["secretAsVolume"][0]["mountPath"] == "/etc/bucket"
    assert "resources" not in _container(small, "example-gen")


def test_a_profile_is_merged_with_the_resources() -> None:
    pipeline = compilation.compiled(SMALL, ["gpu"])
    container = _container(pipeline, "baseline")
    assert container["image"] == "gpu-image:1"
    needed = container["resources"]
    assert needed["accelerator"] == {
        "type": "nvidia.com/gpu",
        "resourceType": "nvidia.com/gpu",
        "count": "2",
        "resourceCount": "2",
    }
    assert (needed["resourceMemoryRequest"], needed["resourceMemoryLimit"]) == ("1Gi", "2Gi")
    settings = _kubernetes(pipeline, "baseline")
    assert settings["nodeSelector"] == {"labels": {"nvidia.com/gpu.present": "true"}}
    assert settings["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert [mount["mountPath"] for mount in settings["pvcMount"]] == ["/models", "/cache"]


def test_the_taxi_pipeline_requests_no_gpus_or_claims_by_default() -> None:
    plain = compilation.compiled("chicago_taxi")
    assert {key for name in STAGES for key in _kubernetes(plain, name)} == {"securityContext"}
    assert "accelerator" not in json.dumps(plain.spec)
    assert all("resources" in _container(plain, leaf.name) for leaf in spec.leaves(plain))


def test_profiles_add_the_manifests_cluster_and_gpus() -> None:
    pipeline = compilation.compiled("chicago_taxi", ["gpu", "cluster"])
    mounts = {
        name: [(mount["constant"], mount["mountPath"]) for mount in _kubernetes(pipeline, name).get("pvcMount", [])]
        for name in (leaf.name for leaf in spec.leaves(pipeline))
    }
    assert {name: found for name, found in mounts.items() if found} == {
        "example-gen": [("taxiway-data", "/data")],
        "baseline": [("model-store", "/models")],
        "pusher": [("model-store", "/models")],
    }
    trainer = _container(pipeline, "trainer")
    assert trainer["image"] == image("train-gpu")
    assert trainer["resources"]["accelerator"]["resourceCount"] == "1"
    assert json.dumps(pipeline.spec).count('"accelerator"') == 1


def test_a_profile_adds_data_and_models_in_a_bucket() -> None:
    pipeline = compilation.compiled("chicago_taxi", ["s3"])
    variables = [{"envVar": name, "secretKey": name} for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    found = {leaf.name: _kubernetes(pipeline, leaf.name).get("secretAsEnv", []) for leaf in spec.leaves(pipeline)}
    with_secret = {name: settings for name, settings in found.items() if settings}
    assert sorted(with_secret) == ["baseline", "example-gen", "pusher"]
    for [setting] in with_secret.values():
        assert (setting["secretName"], setting["keyToEnv"]) == ("model-store", variables)


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        compilation.compiled("chicago_taxi", ["gpus"])
    assert str(raised.value) == (
        "neither the pipeline chicago-taxi nor its sub-pipelines have a profile 'gpus'\n"
        "  fix: the profiles are: gpu, cluster, s3"
    )


def test_a_profile_cannot_be_applied_to_a_compiled_file(tmp_path: Path, small: Pipeline) -> None:
    compilation.write(small, tmp_path / "small.yaml")
    assert compilation.compiled(str(tmp_path / "small.yaml")) == small
    with pytest.raises(UserError, match=r"small.yaml is already compiled, so profiles cannot be applied"):
        compilation.compiled(str(tmp_path / "small.yaml"), ["gpu"])


def test_resources_for_an_unknown_task_are_refused() -> None:
    with pytest.raises(UserError) as raised:

        @dsl.pipeline(name="wrong")
        @resources({"examplegen": Resources(cpu="1")})
        def wrong():
            ExampleGen(input_path="data")

    assert str(raised.value) == (
        "resources are declared for 'examplegen', which is not a task of the pipeline\n"
        "  fix: did you mean 'example-gen'?"
    )


def test_a_plain_pipeline_is_written_as_kfp_writes_it(tmp_path: Path) -> None:
    compilation.write(compilation.compiled("chicago_taxi"), tmp_path / "ours.yaml")
    loading.compile_to(loading.function("chicago_taxi"), tmp_path / "kfp.yaml")
    ours, theirs = (list(yaml.safe_load_all((tmp_path / name).read_text())) for name in ("ours.yaml", "kfp.yaml"))
    pusher = ours[0]["components"]["comp-condition-1"]["dag"]["tasks"]["pusher"]["inputs"]["parameters"]
    card = pusher.pop("model_card")["runtimeValue"]["constant"]
    assert card["overview"] == "Will the passenger tip more than a fifth of the fare?"
    assert card["limitations"] != []
    assert ours == theirs
    assert (tmp_path / "ours.yaml").read_text().startswith("# PIPELINE DEFINITION")


def test_an_output_file_that_cannot_be_written_is_reported(tmp_path: Path, small: Pipeline) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        compilation.write(small, tmp_path / "none" / "small.yaml")


def test_custom_resources_are_written_for_kubectl(tmp_path: Path, small: Pipeline) -> None:
    compilation.write(small, tmp_path / "small.yaml", kubernetes=True)
    pipeline, version = yaml.safe_load_all((tmp_path / "small.yaml").read_text())
    assert (pipeline["apiVersion"], pipeline["kind"]) == ("pipelines.kubeflow.org/v2beta1", "Pipeline")
    assert pipeline["metadata"] == {"name": "small"}
    assert (version["apiVersion"], version["kind"]) == ("pipelines.kubeflow.org/v2beta1", "PipelineVersion")
    # Versions are immutable, so different content has a different name.
    assert version["metadata"] == {"name": compilation.version_name(small)}
    assert version["spec"]["pipelineName"] == "small"
    assert Pipeline(version["spec"]["pipelineSpec"], version["spec"]["platformSpec"]) == small


def test_versions_are_named_by_their_content(small: Pipeline) -> None:
    again, gpu = compilation.compiled(SMALL), compilation.compiled(SMALL, ["gpu"])
    assert compilation.version_name(small) == compilation.version_name(again)
    assert compilation.version_name(gpu) != compilation.version_name(small)
    assert compilation.version_name(small).startswith("small-")


def test_without_cache_all_tasks_are_uncached(small: Pipeline) -> None:
    assert "enableCache" in json.dumps(small.spec)
    assert "enableCache" not in json.dumps(compilation.without_cache(small).spec)


# The user's modules


def _digests(folder: Path, unpacked: str = "") -> dict[str, Any]:
    """The digests in the lineage of the module's functions, computed in another process and folder."""
    code = (
        "import json, sys; from components.user_code import user_modules; text = sys.argv[1]\n"
        "if text: user_modules.unpack(text)\n"
        f"names = ('preprocessing_fn', 'run_fn'); module = {MODULE!r}\n"
        "print(json.dumps({name: user_modules.describe(module, name) for name in names}))"
    )
    command = [sys.executable, "-P", "-c", code, unpacked]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_inlined_modules_have_the_digests_of_those_in_an_image(tmp_path: Path) -> None:
    pipeline = compilation.compiled("chicago_taxi", inline_modules=True)
    [text] = spec.inlined_modules(pipeline)
    assert sorted(json.loads(text)) == [
        "pipelines/__init__.py",
        "pipelines/chicago_taxi/__init__.py",
        "pipelines/chicago_taxi/model.py",
    ]
    for name in ("transform", "trainer"):
        assert _container(pipeline, name)["args"][-2:] == ["--modules", text]
    assert "--modules" not in _container(pipeline, "example-gen")["args"]
    assert _digests(tmp_path, text) == _digests(ROOT)


def test_an_inlined_module_takes_precedence_over_the_images(tmp_path: Path) -> None:
    text = user_modules.packed([MODULE])
    older = tmp_path / "pipelines/chicago_taxi"
    older.mkdir(parents=True)
    (older / "model.py").write_text("def run_fn(): ...\ndef preprocessing_fn(): ...\n")
    assert _digests(tmp_path, text) == _digests(ROOT) != _digests(tmp_path)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module in a package, with its imports, containing placeholders of Kubernetes, Kubeflow and Argo."""
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "sizes.py").write_bytes(b"SIZES = {'a': {'b': 1}}\r\n")
    (package / "model.py").write_text(
        "from mine.sizes import SIZES\n"
        "def run_fn(arguments):\n"
        "    return f'{{{{$}}}} $(HOME) $$ {{{SIZES}}} {{workflow.name}} \\\\$ é'\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_inlined_source_contains_no_placeholders(project: Path) -> None:
    text = user_modules.packed(["mine.model"])
    assert not {"$", "{{", "}}"} & {text[index : index + size] for index in range(len(text)) for size in (1, 2)}
    files = {path: (project / path).read_bytes().decode() for path in ("mine/model.py", "mine/sizes.py")}
    assert json.loads(text) == {"mine/__init__.py": "", **files}
    assert user_modules.packed(["mine/model.py"]) == text


def test_inlined_modules_are_recorded_with_their_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for known in ("c0ffee", "c0ffee+", ""):
        monkeypatch.setenv(COMMIT_VARIABLE, known)
        pipeline = compilation.compiled("chicago_taxi", inline_modules=True)
        assert _container(pipeline, "trainer")["env"] == [{"name": COMMIT_VARIABLE, "value": known}]
        assert "env" not in _container(pipeline, "example-gen")
    compilation.write(pipeline, tmp_path / "taxi.yaml")
    assert spec.read(tmp_path / "taxi.yaml") == pipeline


def test_a_module_of_an_installed_package_stays_in_the_image() -> None:
    assert user_modules.packed(["yaml"]) == ""


def test_modules_that_cannot_be_inlined_are_refused(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(UserError, match="is an absolute path, which exists only on this machine"):
        user_modules.packed([str(project / "mine/model.py")])
    (project / "mine/sizes.py").write_text(f"SIZES = {'x' * 100_000!r}\n")
    with pytest.raises(UserError, match=r"the user's modules have 100,\d\d\d bytes, but only 100,000 fit"):
        user_modules.packed(["mine.model"])
    with pytest.raises(UserError, match=r"the module 'mine.none' was not found"):
        user_modules.packed(["mine.none"])


def test_a_compiled_pipeline_with_its_modules_is_checked_without_them(
    tmp_path: Path, taxi_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = compilation.compiled("chicago_taxi", inline_modules=True)
    compilation.write(pipeline, tmp_path / "taxi.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(user_modules, "_inlined", [])
    monkeypatch.setattr(sys, "path", sys.path[:])
    findings = check.findings(loading.load("taxi.yaml"), {"data": str(taxi_csv), "allow_unversioned": "true"})
    assert findings == []


@pytest.mark.slow
def test_inlined_modules_train_where_there_is_no_source(tmp_path: Path, taxi_csv: Path) -> None:
    compilation.write(compilation.compiled("chicago_taxi", inline_modules=True), tmp_path / "taxi.yaml")
    given = {"data": str(taxi_csv), "allow_unversioned": "true", "train_steps": 5, "eval_steps": 1}
    options = [f"--param={name}={value}" for name, value in given.items()]
    command = [str(Path(sys.executable).with_name("taxiway")), "run", "taxi.yaml", "--json", *options]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    tasks = json.loads(result.stdout)["tasks"]
    assert {tasks[name]["state"] for name in ("transform", "trainer")} == {"SUCCEEDED"}, result.stderr
    written = json.loads((Path(tasks["trainer"]["outputs"]["model"]) / "provenance.json").read_text())
    assert written[0]["code"]["modules"]["module"] == user_modules.describe(MODULE, "run_fn")


NESTED = str(Path(__file__).with_name("pipelines") / "nested.py")


def test_stages_run_as_non_root() -> None:
    """Pod Security's level `restricted` requires this setting, which Kubeflow does not add itself."""
    pipeline = compilation.compiled(NESTED)
    stages = {name for name, executor in pipeline.spec["deploymentSpec"]["executors"].items()}
    own = pipeline.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {name: settings["securityContext"] for name, settings in own.items()} == {
        name: {"runAsNonRoot": True} for name in stages
    }


def _requests_by_stage(profiles: list[str]) -> dict[str, set[tuple[str, ...]]]:
    """The requests of each executor by stage: CPU, memory, claims."""
    pipeline = compilation.compiled(NESTED, profiles)
    own = pipeline.platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    found: dict[str, set[tuple[str, ...]]] = {}
    for label, executor in pipeline.spec["deploymentSpec"]["executors"].items():
        needs = executor["container"].get("resources", {})
        claims = [mount["constant"] for mount in own.get(label, {}).get("pvcMount", [])]
        requested = (needs.get("resourceCpuRequest", ""), needs.get("resourceMemoryRequest", ""), *claims)
        found.setdefault(Executor.of(executor).stage, set()).add(requested)
    return found


@pytest.mark.parametrize(
    ("profiles", "example_gen", "statistics_gen", "schema_gen"),
    [
        ([], ("", "2Gi"), ("", "3Gi"), ("", "1Gi")),
        (["cluster"], ("", "2Gi", "inner-data"), ("", "3Gi"), ("3", "1Gi")),
        (["big", "cluster"], ("", "2Gi", "inner-data"), ("", "4Gi"), ("3", "1Gi")),
    ],
)
def test_profiles_apply_to_stages_in_sub_pipelines_loops_and_conditions(
    profiles: list[str], example_gen: tuple[str, ...], statistics_gen: tuple[str, ...], schema_gen: tuple[str, ...]
) -> None:
    assert _requests_by_stage(profiles) == {
        "example_gen": {example_gen},
        "statistics_gen": {statistics_gen},
        "schema_gen": {schema_gen},
    }


def test_a_profile_that_no_pipeline_has_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        compilation.compiled(NESTED, ["gpu"])
    assert str(raised.value) == (
        "neither the pipeline outer nor its sub-pipelines have a profile 'gpu'\n  fix: the profiles are: cluster, big"
    )
