from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.contract.artifacts import Artifact, Examples, Model, ModelBlessing, ModelEvaluation, Role, Schema
from components.contract.digests import tree_digest
from components.contract.errors import UserError
from components.execution import environment, provenance
from components.user_code import user_modules
from tests.components.models import make_history


def make(kind: type[Artifact], folder: Path, text: str = "") -> Any:
    folder.mkdir(parents=True)
    (folder / "content").write_text(text or folder.name)
    return kind(folder)


def read(artifact: Artifact) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads((artifact.path / "provenance.json").read_text())
    return records


def activity(stage: str = "schema_gen", **inputs: Artifact) -> dict[str, Any]:
    return provenance.activity(stage, {}, {}, inputs)


def test_a_record_names_inputs_parameters_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(provenance.COMMIT_VARIABLE, "abc123+")
    monkeypatch.setenv(provenance.IMAGE_VARIABLE, "taxiway/components@sha256:1")
    (tmp_path / "model.py").write_text("def run_fn(x): ...")
    (tmp_path / "curated.pbtxt").write_text("feature {}")
    examples, schema = make(Examples, tmp_path / "examples"), make(Schema, tmp_path / "schema")
    examples.metadata["digest"] = "sha256:known"
    parameters = {"module": str(tmp_path / "model.py"), "schema_file": str(tmp_path / "curated.pbtxt"), "steps": 3}
    roles = {"module": Role("Module", "run_fn"), "schema_file": Role("File"), "input_path": Role("Data")}
    made_by = provenance.activity("schema_gen", parameters, roles, {"examples": examples, "schema": schema})
    artifact = make(Model, tmp_path / "model")
    artifact.metadata["data_version"] = json.dumps({"md5": "1"})
    provenance.attach(artifact, "model", made_by, {"examples": examples, "schema": schema})
    [record] = read(artifact)
    assert record.pop("created").endswith("+00:00")
    assert record == {
        "digest": tree_digest(artifact.path),
        "type": "Model",
        "output": "model",
        "stage": "schema_gen",
        "stage_version": provenance.stage_version("schema_gen"),
        "parameters": parameters,
        "code": {
            "commit": "abc123",
            "modified": True,
            "modules": {"module": user_modules.describe(parameters["module"], "run_fn")},
            "files": {"schema_file": tree_digest(tmp_path / "curated.pbtxt")},
        },
        "image": "taxiway/components@sha256:1",
        "environment": environment.described(),
        "inputs": {"examples": "sha256:known", "schema": tree_digest(schema.path)},
        "data": {"md5": "1"},
    }
    assert artifact.metadata["digest"] == record["digest"]
    assert "data_version" not in artifact.metadata


@pytest.mark.parametrize("roles", [{"module": Role("Module", "run_fn")}, {"file": Role("File")}])
def test_modules_that_are_not_named_are_not_read(roles: dict[str, Role]) -> None:
    made_by = provenance.activity("trainer", {"module": "", "file": ""}, roles, {})
    assert made_by["code"]["modules"] == made_by["code"]["files"] == {}


def test_a_module_that_is_missing_is_an_error() -> None:
    with pytest.raises(UserError, match="'nosuch' was not found"):
        provenance.activity("trainer", {"module": "nosuch"}, {"module": Role("Module", "run_fn")}, {})


def test_an_artifacts_own_record_is_in_its_metadata(tmp_path: Path) -> None:
    artifact = make(Model, tmp_path / "model")
    made_by = provenance.activity("trainer", {"small": {"a": 1}, "large": ["x" * 2000]}, {}, {})
    provenance.attach(artifact, "model", made_by, {})
    own = json.loads(artifact.metadata["provenance"])
    assert own["parameters"]["small"] == {"a": 1}
    assert own["parameters"]["large"].startswith("sha256:"), "metadata have to fit on a command line"
    assert read(artifact)[0]["parameters"]["large"] == ["x" * 2000]
    assert {**own, "parameters": {}} == {**read(artifact)[0], "parameters": {}}


def test_the_chain_starts_with_the_artifact_and_has_each_ancestor_once(tmp_path: Path) -> None:
    model, blessing = make_history(tmp_path)
    stages = [record["stage"] for record in read(model)]
    assert stages[0] == "trainer"
    assert sorted(stages) == ["example_gen", "schema_gen", "statistics_gen", "trainer", "transform"]
    assert provenance.chain(model) == read(model)
    known = {record["digest"] for record in read(blessing)}
    assert all(digest in known for record in read(blessing) for digest in record["inputs"].values())


def test_outputs_of_one_call_are_in_each_others_chains(tmp_path: Path) -> None:
    evaluation, blessing = make(ModelEvaluation, tmp_path / "evaluation"), make(ModelBlessing, tmp_path / "blessing")
    provenance.attach_all({"evaluation": evaluation, "blessing": blessing}, activity("evaluator"), {})
    assert [record["output"] for record in read(evaluation)] == ["evaluation", "blessing"]
    assert [record["output"] for record in read(blessing)] == ["blessing", "evaluation"]


def test_equal_content_made_from_different_inputs_keeps_both_records(tmp_path: Path) -> None:
    blessings = []
    for name in ("one", "two"):
        model, blessing = make(Model, tmp_path / name), make(ModelBlessing, tmp_path / f"{name}-blessing", "same")
        provenance.attach(blessing, "blessing", activity("evaluator", model=model), {"model": model})
        blessings.append(blessing)
    assert len({blessing.metadata["digest"] for blessing in blessings}) == 1
    assert len(provenance.ancestors(blessings)) == 2
    assert len(provenance.ancestors([blessings[0], blessings[0]])) == 1


def test_records_that_differ_only_in_time_are_equal(tmp_path: Path) -> None:
    record = provenance.record("sha256:1", "Model", "model", activity("trainer"))
    assert provenance.distinct([record, {**record, "created": "later"}, {**record, "stage": "other"}]) == [
        record,
        {**record, "stage": "other"},
    ]


def test_fetched_artifacts_keep_their_history(tmp_path: Path) -> None:
    pushed = provenance.record("sha256:pushed", "PushedModel", "pushed_model", activity("pusher"))
    fetched = make(Model, tmp_path / "fetched")
    provenance.write_chain(fetched.path, [pushed])
    digest = tree_digest(fetched.path)
    provenance.attach(fetched, "model", activity("baseline"), {})
    assert [record["stage"] for record in read(fetched)] == ["baseline", "pusher"]
    assert read(fetched)[0]["inputs"] == {"source": "sha256:pushed"}
    assert fetched.metadata["digest"] == digest


def test_the_chain_is_cut_at_a_source_artifact(tmp_path: Path) -> None:
    def record(name: str, stage: str, **inputs: str) -> dict[str, Any]:
        return {**provenance.record(name, "Model", stage, activity(stage)), "inputs": inputs}

    records = [
        record("push 2", "pusher", model="model 2", blessing="blessing"),
        record("model 2", "trainer", base="fetched"),
        record("fetched", "baseline", source="push 1"),
        record("blessing", "evaluator", model="model 2"),
        record("push 1", "pusher", model="model 1", blessing="blessing"),
        record("model 1", "trainer"),
        record("blessing", "evaluator", model="model 1"),
    ]
    assert provenance.without_sources(records) == records[:4]
    assert provenance.without_sources([]) == []


@pytest.mark.parametrize("text", ["", "{", "{}", '["a"]', '[{"digest": "1"}]', "3", "null", "\x00"])
def test_a_provenance_file_of_another_program_is_ignored(tmp_path: Path, text: str) -> None:
    artifact = make(Model, tmp_path / "model")
    (artifact.path / "provenance.json").write_text(text)
    assert provenance.chain(artifact) == []
    provenance.attach(artifact, "model", activity("trainer"), {})
    assert len(read(artifact)) == 1


def test_an_artifact_without_a_provenance_file_still_has_its_own_record(tmp_path: Path) -> None:
    artifact = make(Model, tmp_path / "model")
    assert provenance.chain(artifact) == []
    provenance.attach(artifact, "model", activity("trainer"), {})
    (artifact.path / "provenance.json").unlink()
    assert [record["stage"] for record in provenance.chain(artifact)] == ["trainer"]


def test_a_file_can_be_an_artifact(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    artifact = Artifact(tmp_path / "file")
    provenance.attach(artifact, "file", activity(), {})
    assert artifact.metadata["digest"] == tree_digest(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert len(provenance.chain(artifact)) == 1


def test_the_version_of_a_stage_is_that_of_its_code() -> None:
    versions = {stage: provenance.stage_version(stage) for stage in ("pusher", "baseline", "trainer")}
    assert len(set(versions.values())) == 3


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(provenance.COMMIT_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@b")
    (tmp_path / "tracked").write_text("1")
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--allow-empty", "-qm", "all")


def modified(parameters: dict[str, Any]) -> bool:
    """Whether the record of a stage called with these parameters says "modified"."""
    roles = {"module": Role("Module", "run_fn"), "schema_file": Role("File")}
    parameters = {**dict.fromkeys(roles, ""), **parameters}
    return bool(provenance.activity("trainer", parameters, roles, {})["code"]["modified"])


def test_the_record_has_the_commit_and_whether_it_was_modified(repository: Path) -> None:
    first = provenance.code_commit()
    assert len(first["commit"]) == 40
    assert first["modified"] is False
    (repository / "untracked").touch()
    assert provenance.code_commit() == first
    (repository / "tracked").write_text("2")
    assert provenance.code_commit() == {**first, "modified": True}


@pytest.mark.parametrize("left_out", ["model.py", "taxi/helpers.py", "taxi/__init__.py", "curated/a.pbtxt", None])
@pytest.mark.parametrize("ignored", [True, False])
def test_an_uncommitted_file_makes_the_commit_modified(repository: Path, left_out: str | None, ignored: bool) -> None:
    files = {
        "model.py": "from taxi import helpers\nimport yaml\ndef run_fn(x): ...",
        "taxi/helpers.py": "",
        "taxi/__init__.py": "",
        "curated/a.pbtxt": "feature {}",
    }
    (repository / ".gitignore").write_text(f"{left_out}\n" if ignored else "")
    for name, text in files.items():
        if name != left_out:
            (repository / name).parent.mkdir(exist_ok=True)
            (repository / name).write_text(text)
    commit(repository)
    for name, text in files.items():
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(text)
    parameters = {"module": "model.py", "schema_file": "curated"}
    assert modified(parameters) is (left_out is not None)
    assert modified({"module": "", "schema_file": ""}) is False
    commit(repository)
    assert modified(parameters) is (left_out is not None and ignored)


def test_modules_of_installed_packages_do_not_affect_the_commit(repository: Path) -> None:
    assert modified({"module": "yaml"}) is False


def test_a_module_outside_the_repository_has_no_commit(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "model.py"
    elsewhere.write_text("def run_fn(x): ...")
    assert modified({"module": str(elsewhere)}) is True


def test_a_submodule_is_committed_with_its_files(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    inner = repository / "inner"
    inner.mkdir()
    (inner / "model.py").write_text("def run_fn(x): ...")
    git(inner, "init", "-q")
    commit(inner)
    assert modified({"module": "inner/model.py"}) is True
    git(repository, "-c", "advice.addEmbeddedRepo=false", "add", "inner")
    commit(repository)
    assert modified({"module": "inner/model.py"}) is False
    (inner / "other.py").write_text("def run_fn(x): ...")
    assert modified({"module": "inner/other.py"}) is True


def test_a_stages_files_affect_the_commit_only_in_a_checkout(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(provenance.covered("trainer", {}, {})) == set()
    root = Path(provenance.__file__).parents[2]
    monkeypatch.chdir(root)
    covered = {file.relative_to(root).as_posix() for file in provenance.covered("trainer", {}, {})}
    assert {"components/execution/provenance.py", "components/trainer/stage.py"} <= covered


def test_the_repository_is_not_changed(repository: Path) -> None:
    index = repository / ".git/index"
    os.utime(repository / "tracked", ns=(1, 1))  # Git's index has another timestamp, so `git status` would rewrite it
    before = index.read_bytes()
    assert provenance.code_commit()["modified"] is False
    assert index.read_bytes() == before


def test_there_is_no_commit_without_a_repository_or_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(provenance.COMMIT_VARIABLE, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    for path in ("", str(tmp_path)):
        if path:
            monkeypatch.setenv("PATH", path)
        assert provenance.code_commit() == {"commit": "", "modified": False}
