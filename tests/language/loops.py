"""Loops: their items, nested loops, and collected outputs."""

from kfp import dsl

from tests.language.cases import Case, case
from tests.language.kit import add, join, makes, number, python, read_all, say, texts, write

CASES: list[Case] = []


@python
def shows_list(x: list[dict]) -> list[dict]:
    return x


@python
def shows_map(x: dict) -> dict:
    return x


@python
def exclaim(data: dsl.Input[dsl.Dataset]) -> str:
    return open(data.path).read() + "!"


@python
def quoted(x: str) -> str:
    return str(x) if isinstance(x, str) else repr(type(x))


@case(CASES, gives='["a", "b"]', ran="show-2 show[0] show[1]")
@dsl.pipeline(name="over-constants")
def over_constants() -> str:
    with dsl.ParallelFor(["a", "b"]) as item:
        task = say(x=item)
    return texts(x=dsl.Collected(task.outputs["out"])).outputs["out"]


@case(CASES, gives="[11, 12, 13]")
@dsl.pipeline(name="over-a-default")
def over_a_default(items: list = [1, 2, 3]) -> str:
    with dsl.ParallelFor(items, parallelism=2) as item:
        task = add(a=item, b=10)
    return texts(x=dsl.Collected(task.outputs["out"])).outputs["out"]


@case(CASES, {"items": [5]}, gives="[15]")
@case(CASES, {"items": []}, gives="[]", ran="show")
@dsl.pipeline(name="over-an-argument")
def over_an_argument(items: list) -> str:
    with dsl.ParallelFor(items) as item:
        task = add(a=item, b=10)
    return texts(x=dsl.Collected(task.outputs["out"])).outputs["out"]


@case(CASES, gives='["a", "b"]')
@dsl.pipeline(name="over-an-output")
def over_an_output() -> str:
    with dsl.ParallelFor(makes(list, '["a", "b"]')().outputs["out"]) as item:
        task = say(x=item)
    return texts(x=dsl.Collected(task.outputs["out"])).outputs["out"]


@case(CASES, gives='["x 1", "y 2"]')
@dsl.pipeline(name="over-maps")
def over_maps() -> str:
    with dsl.ParallelFor([{"a": "x", "n": 1}, {"a": "y", "n": 2}]) as item:
        task = join(a=item.a, b=item.n)
    return texts(x=dsl.Collected(task.outputs["out"])).outputs["out"]


@case(CASES, gives='["x x", "y y"]')
@dsl.pipeline(name="over-maps-of-an-output")
def over_maps_of_an_output(items: list[dict] = [{"a": "x"}, {"a": "y"}]) -> str:
    with dsl.ParallelFor(shows_list(x=items).output) as item:
        task = join(a=item.a, b=item.a)
    return texts(x=dsl.Collected(task.outputs["out"])).outputs["out"]


@case(CASES, gives='[{"a": {"b": "deep"}}]')
@dsl.pipeline(name="whole-maps")
def whole_maps() -> str:
    with dsl.ParallelFor([{"a": {"b": "deep"}}]) as item:
        task = shows_map(x=item)
    return texts(x=dsl.Collected(task.output)).outputs["out"]


# Kubeflow's driver flattens it into one list (CollectInputs in driver/resolve.go), unlike the declared output type.
@case(CASES, gives="[[11, 21], [12, 22]]", ran="add[0][0] add[0][1] add[1][0] add[1][1] show")
@dsl.pipeline(name="one-in-another")
def nested_loops() -> str:
    with dsl.ParallelFor([1, 2]) as a, dsl.ParallelFor([10, 20]) as b:
        task = add(a=a, b=b)
    return texts(x=dsl.Collected(task.outputs["out"])).outputs["out"]


@case(CASES, gives=r'["[\"1\", \"2\"]", "[\"3\"]"]')
@dsl.pipeline(name="over-lists-of-lists")
def over_lists_of_lists() -> str:
    with dsl.ParallelFor([[1, 2], [3]]) as inner:
        with dsl.ParallelFor(inner) as item:
            task = say(x=item)
        row = texts(x=dsl.Collected(task.outputs["out"]))
    return texts(x=dsl.Collected(row.outputs["out"])).outputs["out"]


@dsl.pipeline(name="doubled")
def doubled(items: list) -> list[int]:
    with dsl.ParallelFor(items) as item:
        task = add(a=item, b=item)
    return dsl.Collected(task.outputs["out"])


@case(CASES, gives="[2, 4]", ran="doubled/add[0] doubled/add[1] show")
@dsl.pipeline(name="in-a-sub-pipeline")
def in_a_sub_pipeline() -> str:
    return texts(x=doubled(items=[1, 2]).output).outputs["out"]


@case(CASES, gives="[[2, 4], [2, 4]]")
@dsl.pipeline(name="around-a-sub-pipeline")
def around_a_sub_pipeline() -> str:
    with dsl.ParallelFor([1, 2]):
        task = doubled(items=[1, 2])
    return texts(x=dsl.Collected(task.output)).outputs["out"]


@case(CASES, gives="[20, 40]")
@dsl.pipeline(name="over-what-was-collected")
def over_a_collected_output() -> str:
    with dsl.ParallelFor(doubled(items=[5, 10]).output) as item:
        task = add(a=item, b=item)
    return texts(x=dsl.Collected(task.outputs["out"])).outputs["out"]


# Kubeflow's driver fails on the skipped task; the expected result has the outputs of the other iterations.
@case(CASES, {"least": 2}, gives="[4, 6]", ran="add[1] add[2] show")
@case(CASES, {"least": 9}, gives="[]", ran="show")
@dsl.pipeline(name="collected-over-a-condition")
def collected_over_a_condition(least: int) -> str:
    with dsl.ParallelFor([1, 2, 3]) as item, dsl.If(item >= least):
        task = add(a=item, b=item)
    return texts(x=dsl.Collected(task.outputs["out"])).outputs["out"]


@case(CASES, gives="1 2 3")
@dsl.pipeline(name="collected-artifacts")
def collected_artifacts() -> str:
    with dsl.ParallelFor(["1", "2", "3"]) as item:
        task = write(text=item)
    return read_all(data=dsl.Collected(task.outputs["data"])).output


@case(CASES, gives="a b a b")
@dsl.pipeline(name="collected-artifacts-of-two-loops")
def collected_artifacts_of_two_loops() -> str:
    with dsl.ParallelFor([1, 2]), dsl.ParallelFor(["a", "b"]) as item:
        task = write(text=item)
    return read_all(data=dsl.Collected(task.outputs["data"])).output


@case(CASES, gives="2 3")
@dsl.pipeline(name="collected-artifacts-over-a-condition")
def collected_artifacts_over_a_condition() -> str:
    with dsl.ParallelFor([1, 2, 3]) as item, dsl.If(item >= 2):
        task = write(text=number(x=item).outputs["out"])
    return read_all(data=dsl.Collected(task.outputs["data"])).output


@dsl.pipeline(name="written")
def written(items: list) -> list[dsl.Dataset]:
    with dsl.ParallelFor(items) as item:
        task = write(text=item)
    return dsl.Collected(task.outputs["data"])


@case(CASES, gives="x y")
@dsl.pipeline(name="a-list-of-artifacts-from-a-sub-pipeline")
def list_from_a_sub_pipeline() -> str:
    return read_all(data=written(items=["x", "y"]).output).output


@case(CASES, gives=["x", "y"])
@dsl.pipeline(name="a-list-of-artifacts-as-the-output")
def list_as_output() -> list[dsl.Dataset]:
    return written(items=["x", "y"]).output


@case(CASES, gives='["x!", "y!"]')
@dsl.pipeline(name="over-artifacts")
def over_artifacts() -> str:
    with dsl.ParallelFor(written(items=["x", "y"]).output) as data:
        task = exclaim(data=data)
    return texts(x=dsl.Collected(task.output)).outputs["out"]


@case(CASES, gives='["b 1", "b 2"]')
@dsl.pipeline(name="tasks-of-one-turn")
def tasks_of_one_iteration() -> str:
    """Values from outside of a loop and values from the same iteration."""
    outer = say(x="b")
    with dsl.ParallelFor([1, 2]) as item:
        task = join(a=outer.outputs["out"], b=number(x=item).outputs["out"])
    return texts(x=dsl.Collected(task.outputs["out"])).outputs["out"]


@case(CASES, {"items": "[1]"}, ran="add add-2[0] show")
@case(CASES, {"items": "[]"}, ran="add show")
@dsl.pipeline(name="ran-in-a-condition")
def in_a_condition(items: list):
    with dsl.If(add(a=1, b=1).outputs["out"] == 2):
        with dsl.ParallelFor(items) as item:
            task = add(a=item, b=1)
        texts(x=dsl.Collected(task.outputs["out"]))


@case(CASES, {"items": {"a": 1}}, refused="takes a list")
@case(CASES, {"items": ["x"]}, fails="takes a struct, not 'x'")
@dsl.pipeline(name="over-what-is-no-list-of-maps")
def not_a_list_of_maps(items: list[dict]):
    with dsl.ParallelFor(items) as item:
        shows_map(x=item)


# The compiler treats an item of unknown type as a string; so does Kubeflow's driver (PbValueToText).
@case(CASES, {"items": [7]}, gives='["7"]')
@dsl.pipeline(name="items-of-any-type")
def items_of_any_type(items: list) -> str:
    with dsl.ParallelFor(items) as item:
        task = quoted(x=item)
    return texts(x=dsl.Collected(task.output)).outputs["out"]
