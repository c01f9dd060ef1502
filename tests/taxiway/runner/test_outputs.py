"""Components write outputs under the task's root, at custom paths, elsewhere, or not at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kfp import dsl

import taxiway
from taxiway import loading
from taxiway.runner.call import State
from taxiway.runner.containers import ContainerLauncher
from taxiway.runner.launcher import Launcher
from taxiway.runner.local import LocalLauncher
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, RunFailedError
from tests.taxiway.runner.process_engine import Containers


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    def run(pipeline: Any, launcher: Callable[[], Launcher] = LocalLauncher, **parameters: Any) -> Run:
        compiled = loading.compiled(dsl.pipeline(name="outputs")(pipeline))
        options = {"home": tmp_path / "home", "observer": Observer(), "launcher": launcher}
        return taxiway.run(compiled, **options, **parameters)

    return run


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def read(data: dsl.Input[dsl.Artifact]) -> str:
    from pathlib import Path

    path = Path(data.path)
    return path.read_text() if path.is_file() else " ".join(sorted(each.name for each in path.iterdir()))


# Under the task's root


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def returns() -> dsl.Dataset:
    data = dsl.Dataset(uri=dsl.get_uri())
    with open(data.path, "w") as file:
        file.write("rows")
    return data


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def returns_two() -> NamedTuple("Two", [("model", dsl.Model), ("data", dsl.Dataset)]):  # type: ignore[valid-type]
    from pathlib import Path

    model, data = dsl.Model(uri=dsl.get_uri("deep/model")), dsl.Dataset(uri=dsl.get_uri("other"))
    Path(model.path).mkdir(parents=True)
    for path in (f"{model.path}/weights", data.path):
        Path(path).write_text("rows")
    return model, data


def test_an_output_at_kfps_default_uri_is_kept(run: Callable[..., Run], tmp_path: Path) -> None:
    def pipeline() -> None:
        read(data=returns().output)
        two = returns_two()
        read(data=two.outputs["model"])
        read(data=two.outputs["data"])

    finished = run(pipeline)
    assert [finished.tasks[name].parameters["Output"] for name in ("read", "read-3")] == ["rows", "rows"]
    assert finished.tasks["read-2"].parameters["Output"] == "provenance.json weights"
    outputs = [artifact for task in finished.tasks.values() for artifact in task.outputs.values()]
    assert all(artifact.path.is_relative_to(tmp_path / "home" / "artifacts") for artifact in outputs)
    assert not list((tmp_path / "home" / "artifacts").rglob("executor_output.json"))
    assert {task.state for task in run(pipeline).tasks.values()} == {State.CACHED}


# At a custom path


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def custom(data: dsl.Output[dsl.Dataset], folder: dsl.Output[dsl.Model], place: str):
    from pathlib import Path

    data.set_path(f"{place}/data.txt")
    folder.custom_path = f"{place}/folder"
    Path(folder.path).mkdir()
    for path in (data.path, f"{folder.path}/weights"):
        Path(path).write_text("rows")


def test_an_output_at_a_custom_path_is_copied(run: Callable[..., Run], tmp_path: Path) -> None:
    def pipeline(place: str) -> None:
        finished = custom(place=place)
        read(data=finished.outputs["data"])
        read(data=finished.outputs["folder"])

    (tmp_path / "place").mkdir()
    finished = run(pipeline, place=str(tmp_path / "place"))
    assert finished.tasks["read"].parameters["Output"] == "rows"
    assert finished.tasks["read-2"].parameters["Output"] == "provenance.json weights"
    data = finished.tasks["custom"].outputs["data"]
    assert data.path.is_relative_to(tmp_path / "home" / "artifacts")
    # The files at a custom path belong to the user; the next run does not need them.
    assert sorted(path.name for path in (tmp_path / "place").rglob("*")) == ["data.txt", "folder", "weights"]
    (tmp_path / "place" / "data.txt").unlink()
    assert run(pipeline, place=str(tmp_path / "place")).tasks["custom"].state == State.CACHED


OUTPUT_FILE = """{"artifacts": {"data": {"artifacts": [{"customPath": "'"$1"'"}]}}}"""


@dsl.container_component
def custom_in_shell(written: str, named: str, data: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(
        image="any:1",
        command=["sh", "-ec", f'echo rows > "$(eval echo $0)"; echo \'{OUTPUT_FILE}\' > "$2"'],
        args=[written, named, dsl.PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER],
    )


def test_outputs_in_a_containers_own_tmp_are_copied_when_it_ends(engine: Containers, run: Callable[..., Run]) -> None:
    """The engine of this test runs processes, so files in a container's /tmp are in a folder of the test."""

    def pipeline() -> None:
        custom_in_shell(written="$TMPDIR/data.txt", named="/tmp/data.txt")

    finished = run(pipeline, ContainerLauncher)
    assert finished.artifacts["data"].path.read_text() == "rows\n"
    [body] = engine.bodies
    [mount] = body["HostConfig"]["Mounts"]
    variables = dict(pair.split("=", 1) for pair in body["Env"])
    assert (mount["Target"], mount["Source"], mount["Type"]) == ("/tmp", variables["TMPDIR"], "bind")


def test_a_custom_path_inside_a_container_is_refused(
    engine: Containers, run: Callable[..., Run], tmp_path: Path
) -> None:
    def pipeline(written: str) -> None:
        custom_in_shell(written=written, named="/opt/data.txt")

    with pytest.raises(RunFailedError) as caught:
        run(pipeline, ContainerLauncher, written=str(tmp_path / "data.txt"))
    assert str(caught.value) == (
        "custom-in-shell wrote its output 'data' to /opt/data.txt, which exists only in its container\n"
        "  fix: write it inside the working folder or /tmp, or to the path that the component is given"
    )
    assert caught.value.exit_status == 2


# Elsewhere


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def names(place: str, data: dsl.Output[dsl.Dataset]):
    data.path = place


def test_an_output_at_a_uri_elsewhere_stays_there_and_is_watched(run: Callable[..., Run], tmp_path: Path) -> None:
    def pipeline(place: str) -> None:
        read(data=names(place=place).outputs["data"])

    place = tmp_path / "place"
    place.mkdir()
    (place / "rows").touch()
    finished = run(pipeline, place=str(place))
    assert finished.tasks["names"].outputs["data"].path == place
    assert finished.tasks["read"].parameters["Output"] == "rows"
    assert [path.name for path in place.iterdir()] == ["rows"]
    assert {task.state for task in run(pipeline, place=str(place)).tasks.values()} == {State.CACHED}
    (place / "more").touch()
    assert run(pipeline, place=str(place)).tasks["read"].parameters["Output"] == "more rows"


# Not written


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def silent(data: dsl.Output[dsl.Dataset]):
    pass


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def absent(data: dsl.Output[dsl.Dataset]):
    data.path = "/nowhere/at/all"


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def says_little(metrics: dsl.Output[dsl.Metrics], data: dsl.Output[dsl.Dataset], model: dsl.Output[dsl.Model]):
    data.metadata["rows"] = 3
    model.uri = "gs://bucket/model"


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def returns_nothing(flag: dsl.OutputPath(str)):  # type: ignore[valid-type]
    pass


@dsl.container_component
def silent_container(data: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(image="any:1", command=["true"])


@dsl.container_component
def silent_of_parameters(flag: dsl.OutputPath(str)):  # type: ignore[valid-type]
    return dsl.ContainerSpec(image="any:1", command=["true"])


ARTIFACT = (
    " wrote nothing for its output 'data'\n"
    "  fix: write a file or a folder to the path that the component is given, or give the artifact metadata"
)


@pytest.mark.parametrize("launcher", [LocalLauncher, ContainerLauncher])
@pytest.mark.parametrize(
    ("component", "message"),
    [
        (silent, f"silent{ARTIFACT}"),
        (silent_container, f"silent-container{ARTIFACT}"),
        (returns_nothing, "returns-nothing wrote no value for its output 'flag'"),
        (silent_of_parameters, "silent-of-parameters wrote no value for its output 'flag'"),
    ],
)
def test_an_output_that_does_not_exist_fails_the_task(
    engine: Containers, run: Callable[..., Run], tmp_path: Path, launcher: Any, component: Any, message: str
) -> None:
    engine.images["python:3.13"] = engine.images["any:1"]
    with pytest.raises(RunFailedError) as caught:
        run(lambda: component().set_retry(2) and None, launcher)
    assert (str(caught.value), caught.value.exit_status) == (message, 2)
    assert not list((tmp_path / "home" / "artifacts").rglob("manifest.json"))


def test_a_missing_file_at_a_uri_elsewhere_fails_the_task(run: Callable[..., Run]) -> None:
    with pytest.raises(RunFailedError, match=r"^absent wrote nothing for its output 'data'"):
        run(lambda: absent() and None)


def test_metadata_or_a_uri_are_valid_outputs(run: Callable[..., Run]) -> None:
    outputs = run(lambda: says_little() and None).tasks["says-little"].outputs
    assert outputs["metrics"].metadata == {}
    assert outputs["data"].metadata == {"rows": 3}
    assert outputs["model"].uri == "gs://bucket/model"
