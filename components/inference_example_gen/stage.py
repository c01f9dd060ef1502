"""InferenceExampleGen: converts recorded requests with their labels to Examples, to train on what a model meets in use.

## What it reads

The inference table that `taxiway serve` and `taxiway route` write, and the labels that `taxiway labels` adds. A row
becomes an example if it was answered and has a label. Labels are joined as the monitor joins them: by request id, or
point-in-time by keys. A label may arrive long after the window; of several, the one that became known last counts.

The examples are those that the model was trained on: with a schema, they have its features with its types. An outcome
whose name is a feature's is that feature: `tips` in the labels becomes the column `tips`. Other inputs and outcomes are
left out.

The split of a row depends on its request id alone. So windows may overlap, and rows that one run evaluates on are never
trained on by another.

## What is left out, and counted

Rows without a label; requests that failed; further rows of the same request, such as a copy that a second version
answered. The artifact's metadata has the numbers, and the shares of requests that were recorded. Rows that were
recorded with different shares all count once; a note says so.

## What it refuses

It exits with status 2, and leaves no artifact, for: a window without requests; no labels; a feature of the schema that
the table lacks, because a privacy rule drops it or because no request has it; values that do not fit the schema's type;
a split without rows.
"""

from __future__ import annotations

from typing import Annotated

from components.contract.artifacts import Examples, Input, NewSplits, Output, Role, Schema
from components.contract.declaration import Stage
from components.contract.libraries import ARROW

ModelTables = Annotated[str, Role("Tables")]
TablesModel = Annotated[str, Role("TablesModel")]


def inference_example_gen(
    examples: Output[Examples],
    tables: ModelTables,
    model_name: TablesModel,
    window_start: str,
    window_end: str,
    schema: Input[Schema] | None = None,
    history: Input[Examples] | None = None,
    labels: list = [],
    without: list = [],
    splits: NewSplits = {"train": 2, "eval": 1},
    max_label_age: str = "30d",
    inference_version: int = -1,
    labels_version: int = -1,
    payload_format: str = "parquet",
) -> None:
    """Reads the labelled requests of a window of time from a model's tables and writes them as Examples.

    Args:
        examples: The rows, one folder per split; those of `history` first.
        tables: The folder or URL with the tables of all models, as in `taxiway serve --inference-tables`.
        model_name: The model's name, as the server knows it.
        window_start: The first time of the window, such as `2026-02-01T08:00` (UTC unless it has a time zone).
        window_end: The time after the window.
        schema: The features of the examples and their types; without one, all inputs and outcomes as they are.
        history: Examples that the new rows are added to, split by split; its other splits stay as they are.
        labels: The outcomes that a row needs, by the names in the labels' table; default: those in the schema.
        without: Features of the schema that the rows may lack; and so they may those that few rows of `history` have.
        splits: Shares by split name; the hash of a request's id determines its split.
        max_label_age: How long after a request an outcome with its keys may happen, such as `30d`.
        inference_version: The Delta version of the inference table; -1: the newest.
        labels_version: The Delta version of the labels' table; -1: the newest.
        payload_format: `parquet` or `tf_example`.
    """
    from components.contract.times import duration, moment
    from components.data.examples import require_payload_format
    from components.inference_example_gen.generate import generate
    from components.inference_example_gen.read import Asked

    require_payload_format(payload_format)
    asked = Asked(
        tables=tables,
        model_name=model_name,
        start=moment(window_start, "window_start"),
        end=moment(window_end, "window_end"),
        labels=labels,
        max_age=duration(max_label_age, "max_label_age"),
        inference_version=inference_version,
        labels_version=labels_version,
    )
    generate(examples, asked, schema, history, without=without, shares=splits, payload_format=payload_format)


STAGE = Stage(function=inference_example_gen, image="train", loads=(ARROW,), after="schema_gen", has_report=True)
