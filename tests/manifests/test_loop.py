"""The Deployment of the loop: objects that Kubernetes takes, and settings and a command that Taxiway takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.main

from taxiway.cli.loop import loop_app
from taxiway.loop import check
from taxiway.loop.settings import load
from tests.manifests.objects import MANIFESTS, build, of_kind, one, pods
from tests.manifests.test_build import KUBERNETES_VERSIONS

COMPONENT = "components/loop"


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_the_loops_objects_fit_the_schemas_of_kubernetes(version: str) -> None:
    for each in build(COMPONENT):
        kubernetes_validate.validate(dict(each), version, strict=True)


def test_the_loop_runs_once_with_few_rights() -> None:
    spec = one(build(COMPONENT), "Deployment", "loop")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")
    [role] = of_kind(build(COMPONENT), "Role")
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "patch"}
    [pod] = pods(build(COMPONENT))
    assert pod.spec["serviceAccountName"] == "loop"
    assert pod.containers[0]["securityContext"]["readOnlyRootFilesystem"]


def test_the_loops_settings_and_pipeline_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOP_SECRET", "key")
    [text] = one(build(COMPONENT), "ConfigMap", "loop")["data"].values()
    (tmp_path / "loop.yaml").write_text(text.replace("/usr/lib/taxiway/code", str(MANIFESTS.parent)))
    settings = load(tmp_path / "loop.yaml")
    check.pipeline(settings)
    [pod] = pods(build(COMPONENT))
    assert pod.ports == {"webhook": next(each.what.port for each in settings.triggers if each.kind == "webhook")}
    assert [each["port"] for each in one(build(COMPONENT), "Service", "loop")["spec"]["ports"]] == [8600]


def test_the_loops_command_line_is_one_that_taxiway_takes() -> None:
    [pod] = pods(build(COMPONENT))
    first, command, *given = pod.containers[0]["args"]
    group: Any = typer.main.get_command(loop_app)
    parsed = group.commands[command].make_context(command, list(given)).params
    assert (first, str(parsed["file"]), parsed["every"]) == ("loop", "/loop/loop.yaml", "15s")
