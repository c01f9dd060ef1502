"""Placeholders anywhere in a compiled pipeline, tested with real components."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

import taxiway
from taxiway import loading
from taxiway.checks import check
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, RunFailedError

SLY = "{{$.inputs.parameters['who']}} {{$}} {{$.pipeline_job_name}}"


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def show(text: str = "", config: dict = {}, items: list = []) -> dict:
    """The arguments of the call."""
    import os

    return {"text": text, "config": config, "items": items, "mode": os.environ.get("MODE", "")}


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def three() -> int:
    return 3


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def rows() -> list:
    return [{"title": "a", "size": 1}, {"title": "b", "size": 2}]


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def described(data: dsl.Input[dsl.Dataset]) -> dict:
    return {name: value for name, value in data.metadata.items() if name not in ("digest", "provenance")}


@dsl.container_component
def printed(text: str, number: float):
    return dsl.ContainerSpec(image="any:1", command=["echo"], args=[f"{text}={number}"])


@dsl.pipeline
def inner(config: dict, job: str = dsl.PIPELINE_JOB_NAME_PLACEHOLDER) -> dict:
    return show(text=f"{job}", config=config).output


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    def run(pipeline: Any, **parameters: Any) -> Run:
        compiled = loading.compiled(dsl.pipeline(name="placeholders")(pipeline))
        assert check.findings(compiled, parameters) == []
        return taxiway.run(compiled, home=tmp_path / "home", observer=Observer(), **parameters)

    return run


def _shown(run: Run, task: str = "show") -> Any:
    return run.tasks[task].parameters["Output"]


def test_placeholders_in_strings_lists_and_maps_are_filled(run: Callable[..., Run]) -> None:
    def pipeline(who: str = "me", share: float = 0.25) -> None:
        top = three().output
        show(
            text=f"{who}: {top} of {share}",
            config={"who": who, "mix": f"{who}-{top}", "deep": {"items": [who, {"top": top}]}, "plain": 7},
            items=[f"<{who}>", [who], 1.5],
        )

    assert _shown(run(pipeline)) == {
        "text": "me: 3 of 0.25",
        # A placeholder's number becomes a string, as in Kubeflow's launcher; a literal number stays a number.
        "config": {"who": "me", "mix": "me-3", "deep": {"items": ["me", {"top": "3"}]}, "plain": 7},
        "items": ["<me>", ["me"], 1.5],
        "mode": "",
    }


def test_lists_and_maps_keep_their_types(run: Callable[..., Run]) -> None:
    def pipeline(names: list = ["a", "b"], limits: dict = {"x": 1}) -> None:
        show(config={"names": names, "text": f"of {names}"}, items=[limits])

    shown = _shown(run(pipeline))
    assert shown["config"] == {"names": ["a", "b"], "text": 'of ["a", "b"]'}
    assert shown["items"] == [{"x": 1}]


def test_placeholders_in_keys_of_maps_are_filled(run: Callable[..., Run]) -> None:
    def pipeline(who: str = "me") -> None:
        show(config={f"{who}-key": who})

    assert _shown(run(pipeline))["config"] == {"me-key": "me"}


def test_values_that_look_like_placeholders_are_not_filled(run: Callable[..., Run]) -> None:
    def pipeline(who: str, names: list) -> None:
        show(text=f"<{who}>", config={"who": who, "names": names}, items=names)
        inner(config={"who": who}, job=who)

    finished = run(pipeline, who=SLY, names=[SLY])
    assert _shown(finished) == {
        "text": f"<{SLY}>",
        "config": {"who": SLY, "names": [SLY]},
        "items": [SLY],
        "mode": "",
    }
    assert _shown(finished, "inner/show") == {"text": SLY, "config": {"who": SLY}, "items": [], "mode": ""}


def test_placeholders_in_inputs_and_defaults_of_sub_pipelines_are_filled(run: Callable[..., Run]) -> None:
    def pipeline(who: str = "me") -> None:
        inner(config={"who": [f"{who}"]})

    finished = run(pipeline)
    assert _shown(finished, "inner/show") == {"text": finished.id, "config": {"who": ["me"]}, "items": [], "mode": ""}


def test_placeholders_in_variables_images_and_resources_are_filled(run: Callable[..., Run]) -> None:
    def pipeline(mode: str = "fast", image: str = "3.13", memory: str = "1G", processors: str = "1") -> None:
        task = show().set_env_variable("MODE", f"{mode}-{dsl.PIPELINE_JOB_NAME_PLACEHOLDER}")
        task.set_container_image(f"python:{image}").set_memory_limit(memory).set_cpu_request(processors)

    finished = run(pipeline)
    assert _shown(finished)["mode"] == f"fast-{finished.id}"


def test_placeholders_in_conditions_are_filled(run: Callable[..., Run]) -> None:
    def pipeline(name: str, who: str = "me") -> None:
        with dsl.If(name == f"{who}-x"):
            show(text="then")
        with dsl.Else():
            show(text="else")

    assert list(run(pipeline, name="me-x").tasks) == ["show"]
    assert list(run(pipeline, name="{{channel:task=;name=who;type=String;}}-x").tasks) == ["show-2"]


def test_placeholders_in_loop_items_are_filled(run: Callable[..., Run]) -> None:
    def pipeline(who: str = "me") -> None:
        with dsl.ParallelFor([f"{who}-1", "k"]) as name:
            show(text=name)

    finished = run(pipeline)
    assert [_shown(finished, f"show[{turn}]")["text"] for turn in (0, 1)] == ["me-1", "k"]


def test_parts_of_loop_items_are_filled_in_strings_and_conditions(run: Callable[..., Run]) -> None:
    """The compiler passes each part in from outside of the loop, where it does not exist."""

    def pipeline(who: str = "me") -> None:
        with dsl.ParallelFor(rows().output) as row, dsl.If(row.size == 2):
            show(text=f"{row.title} {row.size} {who}", config={"row": row, "title": row.title})

    finished = run(pipeline)
    assert _shown(finished, "show[1]")["text"] == "b 2 me"
    assert _shown(finished, "show[1]")["config"] == {"row": {"title": "b", "size": 2}, "title": "b"}
    assert "show[0]" not in finished.tasks


def test_items_of_an_outer_loop_are_filled_in_an_inner_one(run: Callable[..., Run]) -> None:
    """The compiler does not pass them on."""

    def pipeline(who: str = "me") -> None:
        with dsl.ParallelFor([1, 2]) as number, dsl.ParallelFor([{"title": "a"}, {"title": "b"}]) as row:
            show(text=f"{number} {row.title} {who}")

    finished = run(pipeline)
    shown = {name: task.parameters["Output"]["text"] for name, task in finished.tasks.items()}
    assert shown == {
        "show[0][0]": "1 a me",
        "show[0][1]": "1 b me",
        "show[1][0]": "2 a me",
        "show[1][1]": "2 b me",
    }


def test_placeholders_of_an_importer_are_filled(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "data-me.txt").write_text("rows")

    def pipeline(folder: str, who: str = "me") -> None:
        imported = dsl.importer(
            artifact_uri=f"{folder}/data-{who}.txt",
            artifact_class=dsl.Dataset,
            metadata={"owner": who, "top": three().output, "mix": f"a-{who}", f"{who}s": ["x", {"who": who}], "n": 3},
        )
        described(data=imported.output)

    finished = run(pipeline, folder=str(tmp_path))
    assert _shown(finished, "described") == {
        "owner": "me",
        "top": 3,
        "mix": "a-me",
        "mes": ["x", {"who": "me"}],
        "n": 3,
    }
    assert finished.tasks["importer"].outputs["artifact"].path == tmp_path / "data-me.txt"


@pytest.mark.parametrize(("number", "text"), [(0.5, "0.5"), (3.0, "3"), (1e-7, "0.0000001"), (1e21, "1" + "0" * 21)])
def test_numbers_are_formatted_as_in_kubeflow(run: Callable[..., Run], number: float, text: str) -> None:
    def pipeline(number: float) -> None:
        printed(text=f"{number}", number=number)

    assert run(pipeline, number=number).tasks["printed"].log.read_text() == f"{text}={text}\n"


def test_a_number_for_a_string_parameter_becomes_a_string(run: Callable[..., Run]) -> None:
    def pipeline() -> None:
        with dsl.ParallelFor(rows().output) as row:
            show(text=row.size)

    assert _shown(run(pipeline), "show[1]")["text"] == "2"


def _with_default(default: str) -> Any:
    @dsl.container_component
    def show(text: str = default):
        return dsl.ContainerSpec(image="any:1", command=["echo"], args=[text])

    return show


PLACES: dict[str, Callable[[str], Any]] = {
    "text": lambda template: show(text=template),
    "map": lambda template: show(config={"a": [template]}),
    "variable": lambda template: show().set_env_variable("MODE", template),
    "default": lambda template: _with_default(template)(),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "a {{$.inputs.parameters['missing']}}",
            "the placeholder {{$.inputs.parameters['missing']}} names 'missing', which this task does not have",
        ),
        ("{{$.secrets}}", "the placeholder {{$.secrets}} is not known"),
    ],
)
def test_an_unresolvable_placeholder_fails_the_task(tmp_path: Path, place: str, template: str, message: str) -> None:
    @dsl.pipeline(name="unfilled")
    def pipeline() -> None:
        PLACES[place](template)

    compiled = loading.compiled(pipeline)
    [finding] = check.findings(compiled, {})
    assert finding.splitlines()[0] == f"show: {message}"
    with pytest.raises(RunFailedError) as caught:
        taxiway.run(compiled, home=tmp_path / "home", observer=Observer())
    assert str(caught.value) == finding
    assert caught.value.exit_status == 2
    assert caught.value.run.tasks == {}


def test_circular_constants_are_refused(tmp_path: Path) -> None:
    @dsl.pipeline(name="circle")
    def pipeline() -> None:
        show(text="{{$.inputs.parameters['config']}}", config={"text": "{{$.inputs.parameters['text']}}"})

    findings = check.findings(loading.compiled(pipeline), {})
    assert len(findings) == 2
    assert all("which this task does not have" in finding for finding in findings)


def test_placeholders_in_a_components_default_are_filled(run: Callable[..., Run]) -> None:
    @dsl.container_component
    def tell(name: str, greeting: str = "hello {{$.inputs.parameters['name']}}"):
        return dsl.ContainerSpec(image="any:1", command=["echo"], args=[greeting])

    def pipeline(name: str) -> None:
        tell(name=name)

    assert run(pipeline, name=SLY).tasks["tell"].log.read_text() == f"hello {SLY}\n"
