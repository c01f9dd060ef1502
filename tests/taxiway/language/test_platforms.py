"""The Kubernetes settings of a task's pod in a compiled pipeline."""

from kfp import dsl, kubernetes

from taxiway import loading
from taxiway.language import spec
from taxiway.language.platforms import Platform, Resource
from taxiway.language.tasks import Constant, FromParent, FromTask


@dsl.component(base_image="python:3.13")
def work():
    print("works")


@dsl.pipeline(name="on-kubernetes")
def on_kubernetes(gpus: list, claim: str = "shared") -> None:
    made = kubernetes.CreatePVC(pvc_name="made", access_modes=["ReadWriteOnce"], size="1Gi")
    task = work()
    kubernetes.use_secret_as_env(task, "store", {"key-id": "KEY_ID"}, optional=True)
    kubernetes.use_config_map_as_env(task, "places", {"here": "HERE"})
    kubernetes.use_field_path_as_env(task, "POD", "metadata.name")
    kubernetes.mount_pvc(task, pvc_name=claim, mount_path="/shared")
    kubernetes.mount_pvc(task, pvc_name=made.outputs["name"], mount_path="/made")
    kubernetes.add_node_selector(task, "disk", "fast")
    kubernetes.add_toleration(task, key="spot", operator="Exists")
    kubernetes.add_toleration_json(task, gpus)


@dsl.pipeline(name="plain")
def plain() -> None:
    work()


def _of_work(function: object) -> Platform:
    pipeline = loading.compiled(function)
    [leaf] = [leaf for leaf in spec.leaves(pipeline) if leaf.name == "work"]
    return pipeline.platform_of(leaf.component)


def test_settings_of_a_pod() -> None:
    platform = _of_work(on_kubernetes)
    shared, made = platform.resources["pvcMount"]
    assert platform.resources["secretAsEnv"] == (
        Resource(source=Constant("store"), written="store", variables=(("KEY_ID", "key-id"),), is_optional=True),
    )
    [places] = platform.resources["configMapAsEnv"]
    assert (places.name, places.variables, places.is_optional) == ("places", (("HERE", "here"),), False)
    assert platform.fields == (("POD", "metadata.name"),)
    assert (shared.source, shared.path) == (FromParent("claim"), "/shared")
    assert (made.source, made.name, made.path) == (FromTask("createpvc", "name"), "", "/made")
    assert platform.labels == {"disk": "fast"}
    assert platform.tolerations == ({"key": "spot", "operator": "Exists"}, FromParent("gpus"))
    assert not platform.has_init_containers


def test_a_pod_without_settings_has_defaults() -> None:
    assert _of_work(plain) == Platform()
