"""Features that a local run does not support are reported before anything runs."""

from kfp import dsl, kubernetes

from tests.language.cases import Case, case
from tests.language.kit import python, read, say, shell, write

CASES: list[Case] = []


def _requests(name: str, ask: object, message: str) -> None:
    @dsl.pipeline(name=f"kubernetes-{name}")
    def pipeline() -> str:
        task = say(x="x")
        ask(task)  # type: ignore[operator]
        return task.outputs["out"]

    expected = {"refused": f"show: {message}"} if message else {"gives": "x"}
    CASES.append(Case(pipeline, **expected))


_requests(
    "claim", lambda t: kubernetes.mount_pvc(t, "c", "/c"), "mounts a volume claim at /c, which only Kubernetes can"
)
_requests("secret-files", lambda t: kubernetes.use_secret_as_volume(t, "s", "/s"), "mounts the secret s at /s")
_requests("config-files", lambda t: kubernetes.use_config_map_as_volume(t, "m", "/m"), "mounts the config map m at /m")
_requests("empty-folder", lambda t: kubernetes.empty_dir_mount(t, "v", "/v"), "mounts an empty volume at /v")
_requests(
    "secret",
    lambda t: kubernetes.use_secret_as_env(t, "s", {"k": "NOT_SET"}),
    "takes NOT_SET from the secret s, which only Kubernetes has; set NOT_SET in the environment of the run",
)
_requests(
    "config", lambda t: kubernetes.use_config_map_as_env(t, "m", {"k": "NOT_SET"}), "takes NOT_SET from the config"
)
_requests(
    "pod", lambda t: kubernetes.use_field_path_as_env(t, "POD", "metadata.name"), "takes POD from the field metadata"
)
# The run's environment has the variable.
_requests("variable", lambda t: kubernetes.use_secret_as_env(t, "s", {"k": "PATH"}), "")
_requests("optional-secret", lambda t: kubernetes.use_secret_as_volume(t, "s", "/s", optional=True), "")
_requests("place", lambda t: kubernetes.add_toleration(kubernetes.add_node_selector(t, "a", "b"), "k", "Exists"), "")
_requests("timeout", lambda t: kubernetes.set_timeout(t, 20).set_cpu_limit("1").set_memory_limit("1G"), "")


@case(
    CASES, refused="createpvc: creates a volume claim, which only Kubernetes can\n  deletepvc: deletes a volume claim"
)
@dsl.pipeline(name="claims")
def claims():
    made = kubernetes.CreatePVC(pvc_name_suffix="-x", access_modes=["ReadWriteOnce"], size="1Gi")
    kubernetes.DeletePVC(pvc_name=made.outputs["name"])


@case(CASES, refused="needs the artifact 'data', but a run takes parameters only")
@dsl.pipeline(name="an-artifact-from-nowhere")
def artifact_from_nowhere(data: dsl.Input[dsl.Dataset]):
    read(data=data)


@dsl.container_component
def image_alone():
    return dsl.ContainerSpec(image="any:1")


@dsl.container_component
def options_alone():
    return dsl.ContainerSpec(image="any:1", args=["--option"])


@case(CASES, refused="image-alone: names no command: what any:1 runs by itself")
@dsl.pipeline(name="an-image-alone")
def an_image_alone():
    image_alone()


@case(CASES, refused="options-alone: names no command")
@dsl.pipeline(name="options-for-an-image")
def options_for_an_image():
    options_alone()


@python
def of_a_pod(settings: dsl.TaskConfig):
    print(settings)


@case(CASES, refused="settings takes the settings of its pod (dsl.TaskConfig), which only Kubernetes has")
@dsl.pipeline(name="settings-of-a-pod")
def settings_of_a_pod():
    of_a_pod()


@dsl.container_component
def long(out: dsl.OutputPath(str)):  # type: ignore[valid-type]
    return shell('head -c 140000 /dev/zero | tr "\\0" x > "$0"', out)


@case(CASES, {"text": "x" * 140_000}, refused="x has 140,000 bytes, and an argument can have at most 131,071")
@dsl.pipeline(name="too-long-an-argument")
def too_long(text: str):
    say(x=text)


@case(CASES, fails="the largest parameter is 'x'\n  fix: pass large values as an artifact")
@dsl.pipeline(name="too-long-an-output")
def too_long_an_output():
    say(x=long().outputs["out"])


@dsl.container_component
def metadata_of_an_output(data: dsl.Output[dsl.Dataset]):
    return shell("true", data.metadata["k"])


@case(CASES, refused="{{$.outputs.artifacts['data'].metadata['k']}}")
@dsl.pipeline(name="metadata-that-are-not-there-yet")
def metadata_not_there_yet():
    metadata_of_an_output()


@dsl.container_component
def secrets():
    return shell("true", "{{$.secrets['k']}}")


@case(CASES, refused="the placeholder {{$.secrets['k']}} is not known")
@dsl.pipeline(name="an-unknown-placeholder")
def unknown_placeholder():
    secrets()
    write(text="x")
