"""Pipelines of lightweight Python components alone, which kfp's local runner can run without containers."""

from collections import namedtuple
from typing import Any, NamedTuple, Optional

from kfp import dsl

from tests.language.cases import Case, case
from tests.language.kit import python

CASES: list[Case] = []

ALL = (
    "{'text': 'd', 'number': -3, 'share': 0.5, 'flag': True, 'items': ['x', 1.5, [False]], 'tree': {'k': {'l': [1.5]}}}"
)
OTHER = {
    "text": 'it\'s "so", ü\n',
    "number": 7,
    "share": 1e-7,
    "flag": False,
    "items": [],
    "tree": {"a": [{"b": True}]},
}


def returns(**outputs: Any) -> Any:
    """What a pipeline with several outputs returns."""
    return namedtuple("Made", outputs)(**outputs)  # type: ignore[misc]


@python
def received(
    text: str = "d", number: int = -3, share: float = 0.5, flag: bool = True,
    items: list = ["x", 1.5, [False]], tree: dict = {"k": {"l": [1.5]}},
) -> str:  # fmt: skip
    """The values as a component receives them, with their Python types."""
    return repr({"text": text, "number": number, "share": share, "flag": flag, "items": items, "tree": tree})


@python
def all_types() -> NamedTuple(  # type: ignore[valid-type]
    "Made", [("text", str), ("number", int), ("share", float), ("flag", bool), ("items", list), ("tree", dict)]
):
    return ("d", -3, 0.5, True, ["x", 1.5, [False]], {"k": {"l": [1.5]}})


@python
def say(x: str) -> str:
    return x


@python
def double(n: int) -> int:
    return 2 * n


@python
def join(a: str, b: str = "default") -> str:
    return f"{a} {b}"


@python
def shown(x: list) -> str:
    return repr(x)


@python
def same(x: list) -> list:
    return x


@python
def named(x: str) -> NamedTuple("Made", [("name", str), ("size", int)]):  # type: ignore[valid-type]
    return (x, len(x))


@python
def noted(x: str):
    with open("notes", "a") as notes:
        notes.write(x)


@python
def write(text: str, data: dsl.Output[dsl.Dataset]):
    data.metadata["note"] = f"of {len(text)}"
    with open(data.path, "w") as file:
        file.write(text)


@python
def read(data: dsl.Input[dsl.Dataset]) -> str:
    return f"{open(data.path).read()} ({data.metadata['note']})"


@case(CASES, gives=ALL)
@dsl.pipeline(name="defaults-of-a-component")
def defaults_of_a_component() -> str:
    return received().output


@case(CASES, gives=repr(OTHER))
@dsl.pipeline(name="constants")
def constants() -> str:
    return received(**OTHER).output


@case(CASES, gives=ALL)
@case(CASES, OTHER, gives=repr(OTHER))
@dsl.pipeline(name="defaults-of-a-pipeline")
def defaults_of_a_pipeline(
    text: str = "d", number: int = -3, share: float = 0.5, flag: bool = True,
    items: list = ["x", 1.5, [False]], tree: dict = {"k": {"l": [1.5]}},
) -> str:  # fmt: skip
    return received(text=text, number=number, share=share, flag=flag, items=items, tree=tree).output


@case(CASES, gives={"text": "d", "number": -3, "share": 0.5, "flag": True, "items": ["x", 1.5, [False]],
                    "tree": {"k": {"l": [1.5]}}, "all": ALL})  # fmt: skip
@dsl.pipeline(name="outputs-of-all-types")
def outputs_of_all_types() -> NamedTuple(  # type: ignore[valid-type]
    "Made",
    [("text", str), ("number", int), ("share", float), ("flag", bool), ("items", list), ("tree", dict), ("all", str)],
):
    made = all_types().outputs
    return returns(**made, all=received(**made).output)


@case(
    CASES,
    gives="x: 3",
    differs="it makes 3.0 of a whole number; Kubeflow's launcher writes 3 (PbValueToText in converter.go)",
)
@dsl.pipeline(name="values-in-a-text")
def values_in_a_text(who: str = "x", n: int = 3) -> str:
    return say(x=f"{who}: {n}").output


@case(CASES, gives="['x', 'made']")
@dsl.pipeline(name="values-in-a-list")
def values_in_a_list(who: str = "x") -> str:
    return shown(x=[who, say(x="made").output]).output


@python
def optional(a: Optional[str] = None, data: Optional[dsl.Input[dsl.Dataset]] = None) -> str:  # noqa: UP045
    return repr((a, data))


@python
def optional_number(n: Optional[int] = None) -> str:  # noqa: UP045
    return repr(n)


@dsl.pipeline(name="inner-optional")
def inner_optional(a: Optional[str] = None) -> str:  # noqa: UP045
    return optional(a=a).output


@case(CASES, gives="('given', None) (None, None)")
@dsl.pipeline(name="optional")
def optional_of_a_component() -> str:
    return join(a=optional(a="given").output, b=optional().output).output


@case(
    CASES,
    gives="None",
    differs="it breaks on the number that is left out; Kubeflow's driver leaves it out (resolve.go)",
)
@dsl.pipeline(name="optional-number")
def optional_of_a_number() -> str:
    return optional_number().output


@case(
    CASES,
    gives="(None, None)",
    differs="it breaks on a parameter without a value; Kubeflow's driver leaves it out (resolve.go)",
)
@case(
    CASES,
    {"a": "given"},
    gives="('given', None)",
)
@dsl.pipeline(name="optional-of-a-pipeline")
def optional_of_a_pipeline(a: Optional[str] = None) -> str:  # noqa: UP045
    return optional(a=a).output


@case(
    CASES,
    gives="('given', None) (None, None)",
    differs="it breaks on a parameter without a value; Kubeflow's driver hands on null (resolve.go)",
)
@dsl.pipeline(name="optional-of-a-sub-pipeline")
def optional_of_a_sub_pipeline() -> str:
    return join(a=inner_optional(a="given").output, b=inner_optional().output).output


@case(
    CASES,
    gives=[1, {"n": 2}],
    differs="it makes floats of them; Kubeflow's launcher hands on JSON, written as 1 (launcher_v2.go)",
)
@dsl.pipeline(name="integers-in-a-list")
def integers_in_a_list() -> list:
    return same(x=[1, {"n": 2}]).output


@case(CASES, gives={"data": {"text": "four", "note": "of 4"}, "seen": "four (of 4)"})
@dsl.pipeline(name="artifacts")
def artifacts() -> NamedTuple("Made", [("data", dsl.Dataset), ("seen", str)]):  # type: ignore[valid-type]
    made = write(text="four")
    return returns(data=made.outputs["data"], seen=read(data=made.outputs["data"]).output)


@python
def measured(metrics: dsl.Output[dsl.Metrics], model: dsl.Output[dsl.Model], note: dsl.OutputPath(str)):  # type: ignore[valid-type]
    metrics.log_metric("accuracy", 0.25)
    model.metadata.update({"framework": "keras", "sizes": [1.5, 2.5], "deep": {"a": True}})
    for path, text in ((model.path, "model"), (metrics.path, ""), (note, "noted")):
        with open(path, "w") as file:
            file.write(text)


@python
def seen(metrics: dsl.Input[dsl.Metrics], model: dsl.Input[dsl.Model], note: dsl.InputPath("Model")) -> list:  # type: ignore[valid-type]
    values = [metrics.metadata["accuracy"], *(model.metadata[key] for key in ("framework", "sizes", "deep"))]
    return [*values, open(note).read(), type(model).__name__]


@case(CASES, gives={"note": "noted", "seen": [0.25, "keras", [1.5, 2.5], {"a": True}, "model", "Model"]})
@dsl.pipeline(name="types-of-artifacts")
def types_of_artifacts() -> NamedTuple("Made", [("note", str), ("seen", list)]):  # type: ignore[valid-type]
    made = measured().outputs
    return returns(
        note=made["note"], seen=seen(metrics=made["metrics"], model=made["model"], note=made["model"]).output
    )


@case(CASES, gives="here (imported)")
@dsl.pipeline(name="importer")
def importer() -> str:
    return read(data=dsl.importer("imported", artifact_class=dsl.Dataset, metadata={"note": "imported"}).output).output


@dsl.pipeline(name="greeted")
def greeted(name: str, n: int = 2, greeting: str = "hello") -> NamedTuple("Made", [("text", str), ("n", int)]):  # type: ignore[valid-type]
    return returns(text=join(a=greeting, b=name).output, n=double(n=n).output)


@dsl.pipeline(name="greeted-twice")
def greeted_twice(name: str) -> NamedTuple("Made", [("text", str), ("n", int)]):  # type: ignore[valid-type]
    made = greeted(name=name).outputs
    return returns(text=greeted(name=made["text"], greeting="oh").outputs["text"], n=made["n"])


@case(CASES, gives={"text": "oh hello x", "n": 4})
@dsl.pipeline(name="sub-pipelines")
def sub_pipelines() -> NamedTuple("Made", [("text", str), ("n", int)]):  # type: ignore[valid-type]
    made = greeted_twice(name="x").outputs
    return returns(text=made["text"], n=made["n"])


@dsl.pipeline(name="written")
def written(text: str) -> dsl.Dataset:
    return write(text=text).outputs["data"]


@dsl.pipeline(name="inner-read")
def inner_read(data: dsl.Input[dsl.Dataset]) -> str:
    return read(data=data).output


@case(CASES, gives="four (of 4)")
@dsl.pipeline(name="artifact-from-a-sub-pipeline")
def artifact_from_a_sub_pipeline() -> str:
    return read(data=written(text="four").output).output


@case(
    CASES,
    gives="four (of 4)",
    differs="it hands a sub-pipeline no artifact where no parameter goes with it; Kubeflow's driver does",
)
@dsl.pipeline(name="artifact-to-a-sub-pipeline")
def artifact_to_a_sub_pipeline() -> str:
    return inner_read(data=write(text="four").outputs["data"]).output


@dsl.pipeline(name="inner-read-and-join")
def inner_read_and_join(data: dsl.Input[dsl.Dataset], text: str) -> str:
    return join(a=read(data=data).output, b=text).output


@case(CASES, gives="four (of 4) x")
@dsl.pipeline(name="artifact-and-text-to-a-sub-pipeline")
def artifact_and_text_to_a_sub_pipeline() -> str:
    return inner_read_and_join(data=write(text="four").outputs["data"], text="x").output


@python
def report(status: dsl.PipelineTaskFinalStatus, file: str):
    with open(file, "a") as notes:
        notes.write(f"{status.state} {bool(status.error_message)}")


@python
def goes(well: bool) -> str:
    if not well:
        raise SystemExit("broke")
    return "went"


@case(
    CASES,
    {"well": True},
    gives={"notes": "COMPLETE False"},
    differs="it says SUCCEEDED; Kubeflow's driver gives the state in MLMD, COMPLETE (resolve.go)",
)
@case(CASES, {"well": False}, gives={"failed": True, "notes": "FAILED True"})
@dsl.pipeline(name="exit-handler")
def exit_handler(well: bool, file: str = "notes"):
    with dsl.ExitHandler(report(file=file)):
        say(x=goes(well=well).output)


@case(CASES, {"well": False}, gives={"failed": True, "notes": "after"})
@dsl.pipeline(name="after-a-failure")
def after_a_failure(well: bool):
    noted(x="after").after(goes(well=well)).ignore_upstream_failure()


@case(CASES, {"well": False}, gives={"failed": True})
@dsl.pipeline(name="failure")
def failure(well: bool) -> str:
    return say(x=goes(well=well).output).output
