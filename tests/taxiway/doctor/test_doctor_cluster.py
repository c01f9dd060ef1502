"""The checks of a cluster and of Kubeflow in `taxiway doctor`, over real HTTP."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl, kubernetes

from components.contract.commands import typed
from taxiway import loading
from taxiway.doctor import cluster, kubeflow, requirements
from taxiway.doctor.findings import Line, State, Use
from taxiway.network.login import Login
from tests.taxiway.doctor.doctor_servers import Server, a_cluster, gpu_node, node, refusing, serving, write_kubeconfig

HEALTH = "/apis/v2beta1/healthz"


@dsl.container_component
def work(destination: str = ""):
    """Does nothing."""
    return dsl.ContainerSpec(image="work:1", command=["true"], args=[destination])


@dsl.pipeline(name="needs-nothing")
def needs_nothing():
    work()


@dsl.pipeline(name="needs-much")
def needs_much(claim: str = "model-store", login: str = "s3-login", memory: str = "8Gi"):
    train = work().set_cpu_request("2").set_memory_limit("8Gi")
    train.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
    kubernetes.add_node_selector(train, "nvidia.com/gpu.present", "true")
    kubernetes.add_toleration(train, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")
    kubernetes.mount_pvc(train, pvc_name=claim, mount_path="/store")
    kubernetes.use_secret_as_env(train, secret_name=login, secret_key_to_env={"key": "AWS_ACCESS_KEY_ID"})
    with dsl.If(claim == "model-store"):
        push = work()
        kubernetes.mount_pvc(push, pvc_name=claim, mount_path="/store")
        kubernetes.use_secret_as_volume(push, secret_name="certificates", mount_path="/certificates", optional=True)
        kubernetes.set_image_pull_secrets(push, ["registry"])


def tasks_of(pipeline: Any, **parameters: Any) -> tuple[requirements.Task, ...]:
    return requirements.tasks(loading.compiled(pipeline), parameters)


MUCH = tasks_of(needs_much)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A small cluster with a kubeconfig."""
    with serving() as server:
        a_cluster(server)
        write_kubeconfig(tmp_path / "kubeconfig", server.url)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        yield server


Look = Callable[..., list[Line]]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """`look(check_name, **use)`: the lines of one check of a cluster."""

    def look(name: str, namespace: str = "ml", **use: Any) -> list[Line]:
        checks = cluster.checks(Use(tmp_path, namespace=namespace, **use))
        [check] = [check for check in checks if check.name == name]
        return check.look()

    return look


# What a pipeline needs


def test_requirements_of_tasks_are_read_from_the_compiled_pipeline() -> None:
    [push, train] = MUCH
    assert train.requests == {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"}
    assert train.node_labels == {"nvidia.com/gpu.present": "true"}
    assert train.tolerations == ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},)
    assert (train.claims, push.claims) == ({"/store": "model-store"}, {"/store": "model-store"})
    assert train.secrets == (requirements.Secret("s3-login", ("key",)),)
    assert push.secrets == (
        requirements.Secret("certificates", (), True),
        requirements.Secret("registry", (), False, True),
    )


def test_names_given_by_parameters_are_resolved() -> None:
    [push, train] = tasks_of(needs_much, claim="other", login="mine")
    assert (train.claims, push.claims) == ({"/store": "other"}, {"/store": "other"})
    assert train.secrets[0].name == "mine"


def test_json_labels_and_tolerations_are_read_and_values_known_only_at_run_time_left_out() -> None:
    @dsl.pipeline(name="as-json")
    def as_json(memory: str = "1Gi"):
        task = work().set_memory_request(memory)
        kubernetes.add_node_selector_json(task, {"disk": "fast"})
        kubernetes.add_toleration_json(task, [{"key": "spot", "operator": "Exists"}])
        claim = kubernetes.CreatePVC(pvc_name="made", access_modes=["ReadWriteOnce"], size="1Gi")
        kubernetes.mount_pvc(task, pvc_name=claim.outputs["name"], mount_path="/made")

    task = next(task for task in tasks_of(as_json) if task.name == "work")
    assert (task.requests, task.claims, task.node_labels) == ({}, {}, {"disk": "fast"})
    assert task.tolerations == ({"key": "spot", "operator": "Exists"},)


# Context, namespace, rights


def test_the_context_is_shown_with_server_and_version(api: Server, look: Look) -> None:
    found = f"here: Kubernetes v1.33.1 at {api.url}"
    assert look("kubectl context") == [Line("kubectl context", State.OK, found)]


def test_no_cluster_is_contacted_without_a_namespace(api: Server, tmp_path: Path) -> None:
    assert [check.name for check in cluster.checks(Use(tmp_path, tasks=MUCH))] == ["kubectl context"]


def test_a_missing_kubeconfig_fails_only_if_a_namespace_is_given(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    fix = f"kubectl config use-context NAME  # or, for a cluster on this machine: {typed('make kind-up')}"
    found = "no kubeconfig found"
    assert look("kubectl context", namespace="") == [Line("kubectl context", State.ABSENT, found, fix)]
    assert look("kubectl context") == [Line("kubectl context", State.MISSING, found, fix)]
    assert look("rights") == [Line("rights", State.UNKNOWN, found, fix)]


def test_an_unknown_context_is_reported(api: Server, look: Look) -> None:
    [line] = look("kubectl context", context="elsewhere")
    assert line.state is State.MISSING
    assert "elsewhere" in line.found


@pytest.mark.parametrize("text", ["{{{", "just words", "[1, 2]", "current-context: 3\ncontexts: nothing"])
def test_an_invalid_kubeconfig_is_reported(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "kubeconfig").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    [line] = look("kubectl context")
    assert line.state is State.MISSING
    assert line.found.startswith("the kubeconfig cannot be used: ")


def test_an_unreachable_cluster_is_reported(look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = refusing()
    write_kubeconfig(tmp_path / "kubeconfig", url)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    [line] = look("kubectl context")
    assert line.state is State.MISSING
    assert line.found.startswith(f"here: {url} does not answer: ")
    assert "Connection refused" in line.found
    assert [look(name)[0].state for name in ("namespace", "rights")] == [State.UNKNOWN] * 2


def test_an_expired_login_is_reported(api: Server, look: Look) -> None:
    api.token = "the new one"
    assert look("kubectl context") == [
        Line(
            "kubectl context",
            State.MISSING,
            "here: you are not logged in, or the login has expired (401)",
            "log in to the cluster again, then: kubectl auth whoami",
        )
    ]
    assert look("nodes", tasks=MUCH)[0].state is State.UNKNOWN


def test_the_token_of_the_kubeconfig_is_used(api: Server, look: Look, tmp_path: Path) -> None:
    api.token = "right"
    write_kubeconfig(tmp_path / "kubeconfig", api.url, "right")
    assert look("kubectl context")[0].state is State.OK
    assert look("rights")[0].state is State.OK


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"\xff\xfe", b"[]", b"{}", b""])
def test_a_server_that_is_not_kubernetes_is_reported(api: Server, look: Look, body: bytes) -> None:
    api.answers["/version"] = (200, body)
    [line] = look("kubectl context")
    assert line.state is State.MISSING
    assert line.found == f"here: {api.url} answers, but is not a Kubernetes API"


def test_the_namespace_is_found(api: Server, look: Look) -> None:
    assert look("namespace") == [Line("namespace", State.OK, "ml")]
    assert look("namespace", namespace="nowhere") == [
        Line("namespace", State.MISSING, "nowhere does not exist", "kubectl create namespace nowhere")
    ]


def test_a_namespace_that_is_being_deleted_is_reported(api: Server, look: Look) -> None:
    api.answers["/api/v1/namespaces/ml"] = (200, {"status": {"phase": "Terminating"}})
    assert look("namespace")[0].found == "ml is being deleted"


def test_a_namespace_that_may_not_be_read_is_not_a_failure(api: Server, look: Look) -> None:
    message = 'namespaces "ml" is forbidden: User "me" cannot get resource "namespaces"'
    api.answers["/api/v1/namespaces/ml"] = (403, {"message": message})
    [line] = look("namespace")
    assert (line.state, line.fix) == (State.UNKNOWN, "kubectl auth can-i --list")
    assert line.found == f"here answers 403: {message}"


def test_sufficient_rights_pass(api: Server, look: Look) -> None:
    [line] = look("rights")
    assert line.state is State.OK
    assert line.found == "you may get pods, list pods, get pods/log, create runs, create pipelines in ml"


def test_missing_rights_to_read_logs_and_events_are_reported(api: Server, look: Look) -> None:
    api.denied = {"get pods/log"}
    assert look("rights") == [
        Line(
            "rights",
            State.WARNING,
            "you may not get pods/log in ml, which shows why a task failed",
            "kubectl create rolebinding follow-runs --clusterrole=view --namespace=ml --user=YOU",
        )
    ]


@pytest.mark.parametrize(
    ("several", "state", "which"),
    [(True, State.MISSING, "this"), (False, State.WARNING, "a"), (None, State.WARNING, "a")],
)
def test_rights_that_a_multi_user_kubeflow_requires_are_checked(
    api: Server, look: Look, several: bool | None, state: State, which: str
) -> None:
    api.denied = {"create runs", "create pipelines"}
    api.answers[HEALTH] = (200, {"tag_name": "2.18.1", "multi_user": several})
    [line] = look("rights", host="" if several is None else api.url)
    found = f"you may not create runs, create pipelines in ml, which {which} multi-user Kubeflow requires"
    assert (line.state, line.found) == (state, found)
    assert "--clusterrole=kubeflow-pipelines-edit" in line.fix


# Nodes


def test_every_task_finds_a_node(api: Server, look: Look) -> None:
    found = "2 nodes: each of the 1 tasks fits on one of them (including 1 nvidia.com/gpu)"
    assert look("nodes", tasks=MUCH) == [Line("nodes", State.OK, found)]


def test_only_the_best_matching_nodes_are_listed(api: Server, look: Look) -> None:
    tainted = gpu_node() | {"spec": {"taints": [SPOT, SPOT | {"key": "team"}]}}
    api.answers["/api/v1/nodes"] = (200, {"items": [node("plain", {"nvidia.com/gpu.present": "true"}), tainted]})
    assert look("nodes", tasks=MUCH)[0].found == (
        "1 of 2 nodes: the taint spot:NoExecute is not tolerated; "
        "1 of 2 nodes: the taint team:NoExecute is not tolerated"
    )


def test_nodes_are_not_listed_for_a_pipeline_without_requirements(api: Server, look: Look) -> None:
    found = "the pipeline requests no resources"
    assert look("nodes", tasks=tasks_of(needs_nothing)) == [Line("nodes", State.OK, found)]
    assert not any(path == "/api/v1/nodes" for path, _ in api.requests)


NO_LABEL = {"labels": {}}
SPOT = {"key": "spot", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("nodes", "found", "fix"),
    [
        ([], "the cluster has no nodes", "kubectl get nodes"),
        (
            [node("plain", {"nvidia.com/gpu.present": "true"})],
            "1 of 1 nodes: no nvidia.com/gpu, but work requests 1",
            "add a node with nvidia.com/gpu and its device plugin, or compile the pipeline without it",
        ),
        (
            [gpu_node(memory="7Gi"), node("plain")],
            "1 of 2 nodes: 7Gi memory, but work requests 8Gi",
            "request less memory, or add a larger node",
        ),
        (
            [gpu_node() | {"metadata": NO_LABEL}],
            "1 of 1 nodes: the label nvidia.com/gpu.present=true is missing",
            "kubectl label node NODE nvidia.com/gpu.present=true",
        ),
        (
            [gpu_node() | {"spec": {"taints": [SPOT]}}],
            "1 of 1 nodes: the taint spot:NoExecute is not tolerated",
            "in the pipeline's resources: 'work': Resources(tolerations=(Toleration('spot', effect='NoExecute'),))",
        ),
        (
            [gpu_node(cpu="1900m")],
            "1 of 1 nodes: 1900m cpu, but work requests 2",
            "request less cpu, or add a larger node",
        ),
        (
            [gpu_node(cpu="1900m") | {"spec": {"taints": [SPOT]}}, node("plain")],
            "1 of 2 nodes: 1900m cpu, but work requests 2; 1 of 2 nodes: the taint spot:NoExecute is not tolerated",
            "request less cpu, or add a larger node",
        ),
        (
            [node("small", {"nvidia.com/gpu.present": "true"}, cpu="1")],
            "1 of 1 nodes: no nvidia.com/gpu, but work requests 1; 1 of 1 nodes: 1 cpu, but work requests 2",
            "add a node with nvidia.com/gpu and its device plugin, or compile the pipeline without it",
        ),
    ],
    ids=[
        "no node",
        "no GPU",
        "little memory",
        "label",
        "taint",
        "little cpu",
        "cpu and taint",
        "no GPU and little cpu",
    ],
)
def test_a_task_that_fits_no_node_is_reported(api: Server, look: Look, nodes: list[Any], found: str, fix: str) -> None:
    api.answers["/api/v1/nodes"] = (200, {"items": nodes})
    assert look("nodes", tasks=MUCH) == [Line("nodes for work", State.MISSING, found, fix)]


TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Equal", "value": "absent"}, False),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "amd.com/gpu", "operator": "Exists"}, False),
        ({}, False),
    ],
)
def test_tolerations_match_as_in_kubernetes(
    api: Server, look: Look, toleration: dict[str, str], tolerated: bool
) -> None:
    task = requirements.Task("train", {"nvidia.com/gpu": "2"}, {}, (toleration,), {}, (), "", {})
    assert (look("nodes", tasks=(task,))[0].state is State.OK) is tolerated


def test_a_taint_with_prefer_no_schedule_is_ignored(api: Server, look: Look) -> None:
    prefers = TAINT | {"effect": "PreferNoSchedule"}
    api.answers["/api/v1/nodes"] = (200, {"items": [gpu_node() | {"spec": {"taints": [prefers]}}]})
    task = requirements.Task("train", {"nvidia.com/gpu": "2"}, {}, (), {}, (), "", {})
    assert look("nodes", tasks=(task,))[0].state is State.OK


def test_nodes_that_may_not_be_listed_are_not_a_failure(api: Server, look: Look) -> None:
    api.answers["/api/v1/nodes"] = (403, b"not even JSON")
    [line] = look("nodes", tasks=MUCH)
    assert (line.state, line.found) == (State.UNKNOWN, "here answers 403: forbidden")


# Volumes and secrets

CLAIM = "/api/v1/namespaces/ml/persistentvolumeclaims/model-store"


@pytest.mark.parametrize(
    ("status", "state", "found"),
    [
        ({"phase": "Bound", "capacity": {"storage": "10Gi"}}, State.OK, "bound, 10Gi"),
        ({"phase": "Pending"}, State.WARNING, "Pending: it may be waiting for its first pod"),
        ({"phase": "Lost"}, State.MISSING, "its volume is lost"),
    ],
)
def test_a_volume_claim_is_found(api: Server, look: Look, status: dict[str, Any], state: State, found: str) -> None:
    api.answers[CLAIM] = (200, {"status": status})
    [line] = look("volumes", tasks=MUCH)
    assert (line.name, line.state, line.found) == ("volume model-store", state, found)


def test_each_missing_volume_claim_is_reported_once(api: Server, look: Look) -> None:
    serving = {"kubernetes": {"image": "tensorflow/serving:2.21.0", "staging": "/models", "volume_claim": "staged"}}
    validate = requirements.Task("validate", {}, {}, (), {}, (), "", serving)
    pattern = "kubectl apply --namespace ml -f FILE  # manifests/base/model-store.yaml is an example"
    assert look("volumes", tasks=(*MUCH, validate)) == [
        Line("volume model-store", State.MISSING, "work mounts it, but it does not exist in ml", pattern),
        Line("volume staged", State.MISSING, "validate mounts it, but it does not exist in ml", pattern),
    ]


def test_a_volume_claim_that_may_not_be_read_is_not_a_failure(api: Server, look: Look) -> None:
    api.answers[CLAIM] = (403, {"message": "forbidden"})
    assert look("volumes", tasks=MUCH)[0].state is State.UNKNOWN


def test_secrets_are_reported_by_purpose(api: Server, look: Look) -> None:
    start = "kubectl create secret"
    registry = "--docker-server=HOST --docker-username=NAME --docker-password=PASSWORD"
    none = "uses it, but it does not exist in ml"
    assert look("secrets", tasks=MUCH) == [
        Line(
            "secret certificates",
            State.ABSENT,
            f"work-2 {none}",
            f"{start} generic certificates --namespace ml --from-literal=KEY=...",
        ),
        Line(
            "secret registry",
            State.MISSING,
            f"work-2 {none}",
            f"{start} docker-registry registry --namespace ml {registry}",
        ),
        Line(
            "secret s3-login",
            State.MISSING,
            f"work {none}",
            f"{start} generic s3-login --namespace ml --from-literal=key=...",
        ),
    ]


def test_a_secret_that_one_task_needs_is_not_optional(api: Server, look: Look) -> None:
    needed = requirements.Secret("certificates")
    tasks = (requirements.Task("train", {}, {}, (), {}, (needed,), "", {}), *MUCH)
    found = {line.name: line for line in look("secrets", tasks=tasks)}
    assert found["secret certificates"].state is State.MISSING
    assert found["secret certificates"].found == "train, work-2 use it, but it does not exist in ml"


def test_the_content_of_secrets_is_not_read(api: Server, look: Look) -> None:
    path = "/api/v1/namespaces/ml/secrets/s3-login"
    api.answers[path] = (200, {"kind": "PartialObjectMetadata", "metadata": {"name": "s3-login"}})
    assert Line("secret s3-login", State.OK, "exists in ml") in look("secrets", tasks=MUCH)
    [headers] = [headers for request_path, headers in api.requests if request_path == path]
    assert headers["accept"] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


def test_a_pipeline_may_use_neither_volumes_nor_secrets(api: Server, look: Look) -> None:
    plain = tasks_of(needs_nothing)
    assert look("volumes", tasks=plain)[0].found == "the pipeline uses no PersistentVolumeClaim"
    assert look("secrets", tasks=plain)[0].found == "the pipeline uses no Secret"


# Kubeflow


@pytest.fixture
def host() -> Iterator[Server]:
    with serving() as server:
        yield server


def kubeflow_line(url: str, **use: Any) -> Line:
    [check] = kubeflow.checks(Use(Path.cwd(), host=url, **use))
    line, *_ = check.look()
    return line


def login_line(url: str, **use: Any) -> Line:
    [check] = kubeflow.checks(Use(Path.cwd(), host=url, **use))
    _, line = check.look()
    return line


def test_kubeflow_is_not_contacted_without_a_host(tmp_path: Path) -> None:
    assert kubeflow.checks(Use(tmp_path, namespace="ml")) == []


def test_a_compatible_kubeflow_passes(host: Server) -> None:
    host.answers[HEALTH] = (200, {"tag_name": "2.18.1", "multi_user": True, "pipeline_store": "database"})
    found = f"2.18.1, multi-user, at {host.url}, accepts IR 2.1.0"
    assert kubeflow_line(host.url + "/", sdk_version="kfp-2.17.0").found == found.replace(host.url, host.url + "/")
    assert kubeflow_line(host.url, sdk_version="kfp-2.17.0") == Line("Kubeflow", State.OK, found)


def test_kubeflow_is_found_behind_its_user_interface(host: Server) -> None:
    host.answers["/pipeline" + HEALTH] = (200, {"apiServerTagName": "2.18.2", "apiServerReady": True})
    assert kubeflow_line(f"{host.url}/pipeline").state is State.OK


def test_known_vulnerabilities_of_a_kubeflow_are_reported(host: Server) -> None:
    host.answers[HEALTH] = (200, {"tag_name": "2.18.0", "multi_user": False})
    line = kubeflow_line(host.url)
    assert line.state is State.WARNING
    assert line.found == (
        f"2.18.0, at {host.url}, accepts IR 2.1.0; versions before 2.18.1 have known vulnerabilities: "
        "GHSA-rhjm-6347-5x33, CVE-2026-54745, CVE-2026-77596"
    )
    assert "env/platform-agnostic?ref=2.18.1" in line.fix
    host.answers[HEALTH] = (200, {"tag_name": "2.18.0", "multi_user": True})
    assert kubeflow_line(host.url).fix == "upgrade to a Kubeflow whose Pipelines are 2.18.1 or later"


def test_a_kubeflow_older_than_the_compiler_is_reported(host: Server) -> None:
    host.answers[HEALTH] = (200, {"tag_name": "2.4.0", "multi_user": False})
    newer = "kfp 2.17.0 compiled the pipeline: this Kubeflow rejects fields that it does not know"
    assert newer in kubeflow_line(host.url, sdk_version="kfp-2.17.0").found
    assert newer not in kubeflow_line(host.url).found


def test_a_kubeflow_too_old_for_the_ir_is_reported(host: Server) -> None:
    host.answers["/apis/v1beta1/healthz"] = (200, {"tag_name": "1.8.5"})
    line = kubeflow_line(host.url)
    found = f"{host.url} has no API v2beta1: IR 2.1.0 needs Kubeflow Pipelines 2"
    assert (line.state, line.found) == (State.MISSING, found)
    host.answers[HEALTH] = (200, {"tag_name": "1.8.5"})
    assert kubeflow_line(host.url).found == f"1.8.5, at {host.url}, rejects IR 2.1.0"


def test_a_kubeflow_without_a_version_has_an_unknown_state(host: Server) -> None:
    host.answers[HEALTH] = (200, {"tag_name": "unknown", "multi_user": False})
    assert kubeflow_line(host.url).state is State.UNKNOWN


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"[]", b"3", b"", b'{"status": "UP"}', b"\xff"])
def test_a_host_that_is_not_kubeflow_is_reported(host: Server, body: bytes) -> None:
    host.answers[HEALTH] = (200, body)
    line = kubeflow_line(host.url)
    assert line.state is State.MISSING
    assert line.found == f"{host.url} answers, but is not Kubeflow Pipelines"


CREATE = "kubectl create token default-editor --audience pipelines.kubeflow.org --namespace ml > "


@pytest.mark.parametrize("status", [302, 401, 403])
def test_a_kubeflow_that_requires_a_login_is_reported(host: Server, tmp_path: Path, status: int) -> None:
    host.answers[HEALTH] = (status, {"error": "no"})
    line = kubeflow_line(host.url, namespace="ml")
    assert (line.state, line.found) == (State.MISSING, f"{host.url} requires a token ({status})")
    assert line.fix == f"{CREATE}FILE, then --token-file FILE"
    token = tmp_path / "token"
    token.write_text("of last year")
    line = kubeflow_line(host.url, namespace="ml", login=Login(token))
    assert line.found == f"{host.url} rejects the token in {token}, which may have expired ({status})"
    assert line.fix == f"{CREATE}{token}"


def test_a_token_file_is_used(host: Server, tmp_path: Path) -> None:
    host.token = "right"
    host.answers[HEALTH] = (200, {"tag_name": "2.18.1"})
    (tmp_path / "token").write_text("right\n")
    assert kubeflow_line(host.url, login=Login(tmp_path / "token")).state is State.OK
    line = kubeflow_line(host.url, login=Login(tmp_path / "none"))
    assert line.found == f"the token file {tmp_path}/none cannot be read: No such file or directory"


def test_the_login_of_a_multi_user_kubeflow_is_checked(host: Server, tmp_path: Path) -> None:
    host.answers[HEALTH] = (200, {"tag_name": "2.18.1", "multi_user": True})
    token = tmp_path / "token"
    token.write_text("mine")
    needs = login_line(host.url)
    assert (needs.state, needs.fix) == (State.MISSING, "give yours with --namespace")
    path = "/apis/v2beta1/experiments?namespace=ml&page_size=1"
    host.answers[path] = (200, {})
    line = login_line(host.url, namespace="ml", login=Login(token))
    assert line == Line("Kubeflow login", State.OK, f"accepts the token in {token} in ml")
    assert host.requests[-1][1]["authorization"] == "Bearer mine"
    # Kubeflow's health endpoint needs no login; only this request shows that a token has expired.
    host.answers[path] = (401, {"code": 16})
    line = login_line(host.url, namespace="ml", login=Login(token))
    assert (line.state, line.fix) == (State.MISSING, f"{CREATE}{token}")
    host.answers[path] = (403, {"code": 7})
    line = login_line(host.url, namespace="ml", login=Login(token))
    assert (line.state, line.found) == (State.MISSING, "you may not list experiments in ml")
    host.answers[path] = (503, {})
    assert login_line(host.url, namespace="ml", login=Login(token)).state is State.UNKNOWN


def test_a_single_user_kubeflow_needs_no_login(host: Server) -> None:
    host.answers[HEALTH] = (200, {"tag_name": "2.18.1", "multi_user": False})
    [check] = kubeflow.checks(Use(Path.cwd(), host=host.url, namespace="ml"))
    assert [line.name for line in check.look()] == ["Kubeflow"]


def test_a_missing_ca_certificate_is_reported(host: Server, tmp_path: Path) -> None:
    assert kubeflow_line(host.url.replace("http:", "https:"), ca=tmp_path / "none").state is State.MISSING


@pytest.mark.parametrize("status", [500, 503])
def test_a_failing_kubeflow_is_reported(host: Server, status: int) -> None:
    host.answers[HEALTH] = (status, b"upstream connect error")
    assert kubeflow_line(host.url).found == f"{host.url} answers {status}"


def test_an_unreachable_host_is_reported() -> None:
    url = refusing()
    line = kubeflow_line(url)
    assert line.state is State.MISSING
    assert line.found.startswith(f"{url} does not answer: ")
    assert "Connection refused" in line.found
    assert line.fix.startswith("kubectl port-forward --namespace kubeflow service/ml-pipeline-ui 8080:80")


@pytest.mark.parametrize(
    "host",
    ["http://", "http://no spaces here", "http://127.0.0.1:notaport", "http://[::1", "ftp://x", "kubeflow.example"],
)
def test_a_host_that_is_not_a_url_is_reported(host: str) -> None:
    assert kubeflow_line(host).state is State.MISSING
