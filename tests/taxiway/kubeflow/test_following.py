"""The progress output of a run on Kubeflow, and what is recorded at its end."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from components.contract.artifacts import Model
from components.contract.errors import ServiceError, UserError
from components.fused.plan import SKIPPED
from taxiway.kubeflow import compilation, following
from taxiway.kubeflow.host import Host
from taxiway.kubeflow.nodes import nodes
from taxiway.language.spec import Pipeline
from taxiway.lineage import chain
from taxiway.lineage.store import LineageStore
from taxiway.runner.call import State
from taxiway.runs.progress import Lines, LiveTable
from taxiway.runs.record import Run
from taxiway.storage.home import Home
from tests.taxiway.doctor.doctor_servers import write_kubeconfig
from tests.taxiway.kubeflow.conftest import SMALL
from tests.taxiway.kubeflow.graphs import WORKFLOW, full_name, hashed, impl_pod, look
from tests.taxiway.kubeflow.metadata import calls, recorded, told_by_task_api
from tests.taxiway.kubeflow.stub import Kubeflow

SUCCEEDED = {
    "example-gen": ("SUCCEEDED", 20),
    "importer": ("SUCCEEDED", 1),
    "statistics-gen": ("SUCCEEDED", 0),
    "described.statistics-gen": ("SUCCEEDED", 12),
    "described.schema-gen": ("SUCCEEDED", 9),
    "baseline": ("SUCCEEDED", 5),
    "condition-2": ("SKIPPED", 0),
}


def _follow(kubeflow: Kubeflow, pipeline: Pipeline, *looks: Any, table: bool = False) -> tuple[Run, str]:
    """Follows a run with these polls; returns the run and the output."""
    kubeflow.runs["run-0"] = {"run_id": "run-0", "display_name": "small-1"}
    kubeflow.looks = list(looks)
    shown = io.StringIO()
    console = Console(file=shown, width=200, force_terminal=table)
    observer = LiveTable(console) if table else Lines(console)
    commands = {"again": "taxiway again", "resume": "taxiway submit"}
    run = following.follow(Host(kubeflow.url), pipeline, "run-0", "small-1", observer, **commands, seconds=0.01)
    return run, shown.getvalue()


def test_a_run_is_followed_task_by_task(kubeflow: Kubeflow, small: Pipeline) -> None:
    running = {"example-gen": ("SUCCEEDED", 20), "baseline": ("RUNNING", 0)}
    run, shown = _follow(kubeflow, small, look("PENDING", {}), look("RUNNING", running), look("SUCCEEDED", SUCCEEDED))
    lines = shown.splitlines()
    assert lines[0] == "run small-1"
    # The output of the second poll comes before that of the third.
    assert set(lines[1:4]) == {"example-gen: running", "example-gen: done in 20.0 s", "baseline: running"}
    assert "statistics-gen: cached in 0.0 s" in lines
    assert "described/statistics-gen: done in 12.0 s" in lines
    assert "small succeeded in 60.0 s (5 done, 1 cached, 1 skipped)" in lines
    assert (run.state, run.exit_status) == (State.SUCCEEDED, 0)
    assert run.tasks["pusher"].state == State.SKIPPED
    assert "pusher: skipped in 0.0 s" in lines


def test_tasks_that_share_a_name_are_distinguished(kubeflow: Kubeflow, small: Pipeline) -> None:
    tasks = {**SUCCEEDED, "for-loop-1.0.statistics-gen": ("SUCCEEDED", 33)}
    run, _ = _follow(kubeflow, small, look("SUCCEEDED", tasks))
    assert run.tasks["statistics-gen"].state == State.CACHED
    assert run.tasks["described/statistics-gen"].seconds == 12


def test_iterations_of_a_loop_have_numbers(kubeflow: Kubeflow) -> None:
    pipeline = compilation.compiled(SMALL)
    [looped] = [node for node in nodes(pipeline) if node.loops and node.name == "schema-gen"]
    assert looped.path == "root.for-loop-1.schema-gen"
    tasks = {f"for-loop-1.{turn}.schema-gen": ("SUCCEEDED", 4 + turn) for turn in range(2)}
    run, _ = _follow(kubeflow, pipeline, look("SUCCEEDED", {**SUCCEEDED, **tasks}))
    assert [name for name in run.tasks if "[" in name] == ["schema-gen[0]", "schema-gen[1]"]
    # A sub-pipeline's task of the same name is not an iteration of the loop.
    assert run.tasks["described/schema-gen"].seconds == 9


def test_the_pod_of_an_iteration_of_a_loop_is_named(kubeflow: Kubeflow) -> None:
    pipeline = compilation.compiled(SMALL)
    turns = [f"for-loop-1.{turn}.schema-gen" for turn in range(2)]
    kubeflow.logs[impl_pod(turns[1])] = "error: no rows\n"
    tasks = {turns[0]: ("SUCCEEDED", 5), turns[1]: ("FAILED", 4)}
    run, _ = _follow(kubeflow, pipeline, look("FAILED", {**SUCCEEDED, **tasks}))
    errors = {name: task.error for name, task in run.tasks.items() if task.error}
    assert list(errors.values()) == [f"the pod {impl_pod(turns[1])} failed\nno rows"]


def test_a_failed_pod_is_shown_with_its_last_lines(kubeflow: Kubeflow, small: Pipeline) -> None:
    pod = impl_pod("baseline")
    kubeflow.logs[pod] = (
        "I1121 03:00:01 1 launcher_v2.go:90] input ComponentSpec\n"
        "looking for models\n"
        "error: /models cannot be read\n  fix: mount it\n"
        "F1121 03:00:02 1 main.go:60] failed to execute component: exit status 2\n"
    )
    failed = look("FAILED", {"example-gen": ("SUCCEEDED", 20), "baseline": ("FAILED", 8)}, error="a task failed")
    run, shown = _follow(kubeflow, small, failed)
    assert run.tasks["baseline"].error == f"the pod {pod} failed\n/models cannot be read\n  fix: mount it"
    assert "small failed in 60.0 s (1 done, 1 failed)" in shown
    assert f"\nbaseline failed\n  the pod {pod} failed\n  /models cannot be read\n" in shown
    assert "  resume    taxiway submit" in shown
    assert run.tasks["baseline"].log.read_text() == kubeflow.logs[pod]
    assert (run.state, run.exit_status, run.error) == (State.FAILED, 1, "a task failed")


def test_a_failure_of_another_projects_container_shows_its_last_lines(kubeflow: Kubeflow, small: Pipeline) -> None:
    kubeflow.overrides["GET /k8s/.*"] = (404, b"404 page not found")  # as on the API server's own port
    kubeflow.logs[impl_pod("baseline")] = "".join(f"line {number}\n" for number in range(50))
    run, _ = _follow(kubeflow, small, look("FAILED", {"baseline": ("FAILED", 8)}))
    assert run.tasks["baseline"].error.splitlines()[1:] == [f"line {number}" for number in range(30, 50)]


def test_a_pod_that_ran_out_of_memory_is_reported(kubeflow: Kubeflow, small: Pipeline) -> None:
    state = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    kubeflow.pods[impl_pod("baseline")] = {"status": {"phase": "Failed", "containerStatuses": [{"state": state}]}}
    run, _ = _follow(kubeflow, small, look("FAILED", {"baseline": ("FAILED", 8)}))
    assert run.tasks["baseline"].error.splitlines()[1:] == [
        "OOMKilled: it exceeded its memory limit",
        "  fix: increase memory_limit in the pipeline's resources",
    ]


def test_an_image_for_another_architecture_is_reported(kubeflow: Kubeflow, small: Pipeline) -> None:
    message = "failed to execute component: fork/exec /usr/lib/taxiway/bin/python: exec format error"
    kubeflow.logs[impl_pod("baseline")] = f"F1121 03:00:02 1 main.go:60] {message}\n"
    run, _ = _follow(kubeflow, small, look("FAILED", {"baseline": ("FAILED", 8)}))
    *_, last, fix = run.tasks["baseline"].error.splitlines()
    assert last.endswith("exec format error")
    assert fix == "  fix: build the image for the nodes' CPU architecture, or select other nodes with node_selector"


def test_a_deleted_pod_without_a_log_is_reported(kubeflow: Kubeflow, small: Pipeline) -> None:
    run, _ = _follow(kubeflow, small, look("FAILED", {"baseline": ("FAILED", 8)}))
    assert run.tasks["baseline"].error == (
        f"its pod left no log; find the reason with: kubectl --namespace kubeflow describe workflow {WORKFLOW}"
    )


@pytest.mark.parametrize("retries", [False, True])
def test_the_last_attempt_of_a_retried_task_is_read(kubeflow: Kubeflow, small: Pipeline, retries: bool) -> None:
    for attempt in range(2):
        pod = impl_pod("statistics-gen", retries=retries, attempt=attempt, template="retry-system-container-impl")
        kubeflow.logs[pod] = f"error: attempt {attempt}\n"
    first = look("RUNNING", {"statistics-gen": ("RUNNING", 0, 1)}, retries=retries)
    second = look("RUNNING", {"statistics-gen": ("RUNNING", 0, 2)}, retries=retries)
    last = look("FAILED", {"statistics-gen": ("FAILED", 8, 2)}, retries=retries)
    run, shown = _follow(kubeflow, small, first, second, second, last)
    assert run.tasks["statistics-gen"].error.endswith("\nattempt 1")
    assert shown.count("statistics-gen: attempt 2\n") == 1
    assert shown.count("statistics-gen: running\n") == 1


def test_a_pod_of_argo_s_own_retries_is_read(kubeflow: Kubeflow, small: Pipeline) -> None:
    """The manifests of 2.17 retry every pod."""
    pod = impl_pod("baseline", retries=True, attempt=0)
    kubeflow.logs[pod] = "error: /models cannot be read\n"
    run, shown = _follow(kubeflow, small, look("FAILED", {"baseline": ("FAILED", 8)}, retries=True))
    assert run.tasks["baseline"].error == f"the pod {pod} failed\n/models cannot be read"
    assert "small failed in 60.0 s (1 failed)" in shown


def test_a_driver_that_failed_is_read(kubeflow: Kubeflow, small: Pipeline) -> None:
    pod = f"{WORKFLOW}-system-container-driver-{hashed(full_name('baseline-driver'))}"
    kubeflow.logs[pod] = "failed to resolve inputs\n"
    run, _ = _follow(kubeflow, small, look("FAILED", {"baseline-driver": ("FAILED", 2)}))
    assert run.tasks["baseline"].error == f"the pod {pod} failed\nfailed to resolve inputs"


def test_a_drivers_log_does_not_explain_a_failed_task(kubeflow: Kubeflow, small: Pipeline) -> None:
    driver = f"{WORKFLOW}-system-container-driver-{hashed(full_name('baseline-driver'))}"
    kubeflow.logs[driver] = "I1121 03:00:00 main.go: input ComponentSpec\n"
    run, _ = _follow(kubeflow, small, look("FAILED", {"baseline": ("FAILED", 8)}))
    assert "ComponentSpec" not in run.tasks["baseline"].error


def test_a_pod_that_has_succeeded_is_not_called_failed(kubeflow: Kubeflow, small: Pipeline) -> None:
    pod = impl_pod("baseline")
    kubeflow.pods[pod] = {"status": {"phase": "Succeeded"}}
    kubeflow.logs[pod] = "all well\n"
    run, _ = _follow(kubeflow, small, look("FAILED", {"baseline": ("FAILED", 8)}))
    assert run.tasks["baseline"].error.startswith("its pod left no log; find the reason with: kubectl")


def test_a_deleted_pod_is_explained_by_its_events(kubeflow: Kubeflow, small: Pipeline) -> None:
    kubeflow.events[impl_pod("baseline")] = [
        {"type": "Normal", "reason": "Pulling", "message": "Pulling image"},
        {"type": "Warning", "reason": "Failed", "message": "ErrImagePull: no such image"},
    ]
    run, _ = _follow(kubeflow, small, look("FAILED", {"baseline": ("FAILED", 8)}))
    assert run.tasks["baseline"].error == (
        "Failed: ErrImagePull: no such image\n"
        "  fix: push the image to a registry that the nodes can pull from, or load it into the nodes"
    )


FORBIDDEN = 'pods "small" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'


@pytest.mark.parametrize("own", [True, False])
def test_a_rejected_pod_is_explained_by_argos_workflow(
    kubeflow: Kubeflow, small: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """The workflow is read only if kubectl's context is the cluster of the run."""
    nodes = {
        f"{WORKFLOW}-{hashed(full_name('baseline.executor'))}": {"phase": "Error", "message": FORBIDDEN},
        f"{WORKFLOW}-1": {"phase": "Failed", "message": f"child '{WORKFLOW}-2' failed"},
        f"{WORKFLOW}-2": {"phase": "Succeeded", "message": "well"},
    }
    labels = {"pipeline/runid": "run-0" if own else "another"}
    workflow = {"metadata": {"labels": labels}, "status": {"nodes": nodes}}
    path = f"GET /apis/argoproj.io/v1alpha1/namespaces/kubeflow/workflows/{WORKFLOW}"
    kubeflow.overrides[path] = (200, json.dumps(workflow).encode())
    write_kubeconfig(tmp_path / "kubeconfig", kubeflow.url)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    run, _ = _follow(kubeflow, small, look("FAILED", {"baseline": ("FAILED", 8)}))
    error = run.tasks["baseline"].error
    assert error.startswith(f"{FORBIDDEN}\n  fix: set DEFAULT_SECURITY_CONTEXT_RUN_AS_NON_ROOT=true") == own
    assert (run.error == FORBIDDEN) == own
    assert ("Kubeflow gave no reason; see: kubectl --namespace kubeflow describe workflow" in run.error) != own


def test_unknown_reasons_are_not_reported(kubeflow: Kubeflow, small: Pipeline) -> None:
    """A task without an entry is neither skipped nor done, whatever the state of the run."""
    run, shown = _follow(kubeflow, small, look("SUCCEEDED", {"example-gen": ("SUCCEEDED", 20)}))
    assert list(run.tasks) == ["example-gen"]
    assert "small succeeded in 60.0 s (1 done)" in shown


def test_tasks_that_end_after_the_run_in_the_answers_are_awaited(kubeflow: Kubeflow, small: Pipeline) -> None:
    """Kubeflow's report server updates the run before its tasks."""
    states = ("RUNNING", "RUNNING", "FAILED")
    looks = [look("RUNNING" if not turn else "FAILED", {"baseline": (state, 8)}) for turn, state in enumerate(states)]
    run, _ = _follow(kubeflow, small, *looks)
    assert run.tasks["baseline"].state == State.FAILED


def test_pending_tasks_are_not_shown_as_running_after_a_failure(kubeflow: Kubeflow, small: Pipeline) -> None:
    tasks = {"baseline": ("FAILED", 8), "example-gen": ("RUNNING", 0), "described.schema-gen": ("PENDING", 0)}
    run, shown = _follow(kubeflow, small, look("FAILED", tasks))
    assert list(run.tasks) == ["baseline"]
    assert [line for line in shown.splitlines() if line.endswith(": running")] == ["baseline: running"]


def test_a_waiting_task_is_not_shown_as_running(kubeflow: Kubeflow, small: Pipeline) -> None:
    waiting = look("RUNNING", {"example-gen": ("PENDING", 0), "baseline-driver": ("RUNNING", 0)})
    _, shown = _follow(kubeflow, small, waiting, look("CANCELED", {}))
    assert "running" not in shown


UNSCHEDULABLE = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."


@pytest.mark.parametrize(
    ("status", "expected", "fix"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": UNSCHEDULABLE}]},
            UNSCHEDULABLE,
            "no node has what it requests: add one with a free GPU",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "3 Insufficient nvidia.com/gpu."}]},
            "3 Insufficient nvidia.com/gpu.",
            "or compile without the profile",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "1 Insufficient memory."}]},
            "1 Insufficient memory.",
            "request less memory in the pipeline's resources",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "message": 'persistentvolumeclaim "models" not found',
                    }
                ]
            },
            'persistentvolumeclaim "models" not found',
            "create the claim models in the namespace",
        ),
        (
            {
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling gpu-image:1"}}}
                ]
            },
            "ImagePullBackOff: Back-off pulling gpu-image:1",
            "push the image to a registry that the nodes can pull from",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "state": {
                            "waiting": {"reason": "CreateContainerConfigError", "message": 'secret "bucket" not found'}
                        }
                    }
                ]
            },
            'secret "bucket" not found',
            "create the secret bucket",
        ),
    ],
)
def test_the_reason_why_a_pod_waits_is_shown_once(kubeflow: Kubeflow, status: Any, expected: str, fix: str) -> None:
    """For pods that cannot start, for example because no node has a GPU."""
    pipeline = compilation.compiled(SMALL, ["gpu"])
    pod = impl_pod("baseline")
    kubeflow.pods[pod] = {"status": {"phase": "Pending", **status}}
    waiting = look("RUNNING", {"baseline": ("RUNNING", 0)})
    for table in (False, True):
        _, shown = _follow(kubeflow, pipeline, waiting, waiting, look("FAILED", {}), table=table)
        assert f"baseline is waiting: the pod {pod} cannot start: " in shown
        assert expected in shown
        assert fix in shown
        assert shown.count("cannot start") == 1


def test_a_starting_pod_is_not_reported(kubeflow: Kubeflow, small: Pipeline) -> None:
    creating = {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}
    kubeflow.pods[impl_pod("baseline")] = {"status": {"phase": "Pending", **creating}}
    _, shown = _follow(kubeflow, small, look("RUNNING", {"baseline": ("RUNNING", 0)}), look("FAILED", {}))
    assert "waits" not in shown


def test_results_and_lineage_are_fetched(kubeflow: Kubeflow, small: Pipeline, tmp_path: Path) -> None:
    recorded_calls = calls(tmp_path)
    kubeflow.metadata, pushed = recorded(recorded_calls), recorded_calls[-1].outputs["pushed_model"]
    tasks = {**SUCCEEDED, "condition-2.pusher": ("SUCCEEDED", 7)}
    run, shown = _follow(kubeflow, small, look("SUCCEEDED", tasks))
    assert "  blessing  blessed" in shown
    assert "  pushed    /models/taxi/7" in shown
    assert run.tasks["pusher"].outputs["pushed_model"].uri == "minio://mlpipeline/v2/pushed_model"
    store = LineageStore.open_existing(Home.default().lineage)
    assert store
    [stored] = store.runs()
    assert (stored.id, stored.pipeline, stored.state) == ("small-1", "small", "COMPLETE")
    # Kubeflow's own times, whenever the run is followed.
    assert (stored.started, stored.seconds) == (datetime(2026, 11, 21, 3, tzinfo=UTC), 60)
    traced = chain.trace(pushed.metadata["digest"], store=store)
    # The blessing is another output of the same task.
    assert [record["type"] for record in traced.records] == ["PushedModel", "Model", "Examples", "ModelBlessing"]
    assert chain.trace("/models/taxi/7", store=store).records[0]["digest"] == pushed.metadata["digest"]


def test_skipped_outputs_of_a_fused_pod_are_not_recorded(kubeflow: Kubeflow, small: Pipeline, tmp_path: Path) -> None:
    recorded_calls = calls(tmp_path)
    recorded_calls[1].outputs["pusher__pushed_model"] = Model(tmp_path / "none", {SKIPPED: "the condition"})
    kubeflow.metadata = recorded(recorded_calls)
    run, _ = _follow(kubeflow, small, look("SUCCEEDED", SUCCEEDED))
    assert set(run.tasks["baseline"].outputs) == {"model", "blessing"}


def test_ml_metadata_and_the_task_api_give_equal_results(
    kubeflow: Kubeflow, small: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded_calls, reports = calls(tmp_path), []
    tasks = {"example-gen": ("SUCCEEDED", 1), "baseline": ("SUCCEEDED", 9), "condition-2.pusher": ("SUCCEEDED", 9)}
    for number in range(2):
        monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / f"home-{number}"))
        kubeflow.metadata = None if number else recorded(recorded_calls)
        kubeflow.tasks = [told_by_task_api(recorded_calls)] if number else []
        ended = look("SUCCEEDED", tasks)
        run, shown = _follow(kubeflow, small, ended | {"run_details": {}} if number else ended)
        store = LineageStore.open_existing(Home.default().lineage)
        chained = chain.to_json(chain.trace("/models/taxi/7", store=store))
        outputs = {name: {port: a.uri for port, a in task.outputs.items()} for name, task in run.tasks.items()}
        reports.append((shown, chained, outputs, run.metrics))
    assert reports[0] == reports[1]
    assert "  pushed    /models/taxi/7" in reports[0][0]


def test_a_run_with_results_can_be_followed_twice(kubeflow: Kubeflow, small: Pipeline, tmp_path: Path) -> None:
    kubeflow.metadata = recorded(calls(tmp_path))
    for _ in range(2):
        _follow(kubeflow, small, look("SUCCEEDED", SUCCEEDED))
    store = LineageStore.open_existing(Home.default().lineage)
    assert store
    assert len(store.runs()) == 1


def test_a_host_without_metadata_only_has_states(kubeflow: Kubeflow, small: Pipeline) -> None:
    kubeflow.overrides["POST /ml_metadata.*"] = (200, b"<!doctype html>")
    run, _ = _follow(kubeflow, small, look("SUCCEEDED", SUCCEEDED))
    assert run.tasks["example-gen"].outputs == {}
    assert LineageStore.open_existing(Home.default().lineage) is None


def test_a_token_that_expires_during_the_wait(kubeflow: Kubeflow, small: Pipeline) -> None:
    kubeflow.overrides["GET /apis/v2beta1/runs/run-0"] = (401, b"Jwt is expired")
    with pytest.raises(UserError) as raised:
        _follow(kubeflow, small, look("RUNNING", {}))
    assert "requires authentication (401: Jwt is expired)" in raised.value.what
    assert raised.value.fix.endswith("; the run continues, follow it with: taxiway again")


def test_a_short_outage_does_not_end_the_wait(
    kubeflow: Kubeflow, small: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([(503, b"no healthy upstream")] * 3)
    answer = Kubeflow.answer

    def answered(self: Kubeflow, method: str, path: str, query: Any, body: bytes) -> Any:
        down = next(looks, None) if path.endswith("/runs/run-0") else None
        return down or answer(self, method, path, query, body)

    monkeypatch.setattr(Kubeflow, "answer", answered)
    run, _ = _follow(kubeflow, small, look("SUCCEEDED", SUCCEEDED))
    assert run.state == State.SUCCEEDED


def test_a_long_outage_ends_the_wait(kubeflow: Kubeflow, small: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PATIENCE", 0.05)
    kubeflow.overrides["GET /apis/v2beta1/runs/run-0"] = (503, b"no healthy upstream")
    with pytest.raises(ServiceError, match="failed to read the run: 503: no healthy upstream") as raised:
        _follow(kubeflow, small, look("RUNNING", {}))
    assert raised.value.fix == "try again later; the run continues, follow it with: taxiway again"


def test_where_the_tasks_stand_in_argo_s_graph(small: Pipeline) -> None:
    found = {node.name: node for node in nodes(small)}
    assert found["described/schema-gen"].path == "root.described.schema-gen"
    assert found["pusher"].path == "root.condition-2.pusher"
    assert found["statistics-gen"].attempts == 3
    assert found["statistics-gen"].loops == 0
