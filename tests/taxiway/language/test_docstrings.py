"""Descriptions that kfp drops are read from a component's source, so its outputs have types in the lineage."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kfp import dsl

import taxiway
from taxiway import loading
from taxiway.checks import check
from taxiway.dsl import SchemaGen, StatisticsGen
from taxiway.lineage.chain import trace
from taxiway.runs.progress import Observer


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def as_argument(rows: int, examples: dsl.Output[dsl.Dataset]):
    """Makes rows.

    Args:
        rows: How many.
        examples: [Examples] The rows, in one split
            or in several.
    """
    from pathlib import Path

    Path(examples.path, "Split-train").mkdir(parents=True)
    Path(examples.path, "Split-train", "data_parquet-00000-of-00001.parquet").write_text(str(rows))


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def returned(rows: int) -> dsl.Dataset:
    """Makes rows.

    Args:
        rows: How many.

    Returns:
        [Examples] The rows.
    """


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def named(rows: int) -> NamedTuple("Made", [("examples", dsl.Dataset), ("count", int)]):  # type: ignore[valid-type]
    """Makes rows.

    Returns:
        examples: [Examples] The rows.
    """


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def undescribed(rows: int) -> dsl.Dataset:
    return dsl.Dataset()


@dsl.container_component
def in_a_container(rows: int, examples: dsl.Output[dsl.Dataset]):
    """Makes rows.

    Args:
        rows: How many.

    Returns:
        examples: [Examples] The rows.
    """
    return dsl.ContainerSpec(image="any:1", command=["make"], args=[rows, examples.path])


@pytest.mark.parametrize(
    ("component", "output", "description"),
    [
        (as_argument, "examples", "[Examples] The rows, in one split\nor in several."),
        (returned, "Output", "[Examples] The rows."),
        (named, "examples", "[Examples] The rows."),
        (in_a_container, "examples", "[Examples] The rows."),
        (undescribed, "Output", None),
    ],
)
def test_outputs_have_the_descriptions_of_the_docstring(component: Any, output: str, description: str | None) -> None:
    @dsl.pipeline
    def pipeline():
        component(rows=1)

    [compiled] = loading.compiled(pipeline).spec["components"].values()
    assert compiled["outputDefinitions"]["artifacts"][output].get("description") == description


def test_check_knows_the_types_of_python_components() -> None:
    @dsl.pipeline
    def pipeline():
        StatisticsGen(examples=as_argument(rows=1).outputs["examples"])
        SchemaGen(statistics=as_argument(rows=2).outputs["examples"])

    assert check.findings(loading.compiled(pipeline), {}) == [
        "schema-gen: the input 'statistics' takes ExampleStatistics, and is given Examples"
    ]


def test_the_lineage_shows_the_type(tmp_path: Path) -> None:
    @dsl.pipeline(name="typed")
    def pipeline():
        as_argument(rows=1)

    run = taxiway.run(loading.compiled(pipeline), home=tmp_path / "home", observer=Observer())
    examples = run.artifacts["examples"]
    assert examples.type_name == "Examples"
    # Without it TFX reads an older layout.
    assert examples.metadata["tfx_version"] == "1.21.0"
    [record] = trace(str(examples.path)).records
    assert (record["stage"], record["type"]) == ("as-argument", "Examples")
