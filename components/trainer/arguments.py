"""The stage's inputs as TFX's trainer passes them to `run_fn`.

Source: tfx 1.21, `tfx/components/trainer/executor.py` and `fn_args_utils.py`.
"""

from __future__ import annotations

import json
from typing import Any

from components.contract.artifacts import Artifact, split_path
from components.contract.errors import UserError
from components.data.examples import TF_EXAMPLE, payload_format, require_splits, require_tf_examples, split_files
from components.trainer.data_accessor import data_accessor
from components.trainer.fn_args import FnArgs

SERVING_DIR = "Format-Serving"
EVAL_DIR = "Format-TFMA"


def _patterns(examples: Artifact, splits: list[str]) -> list[str]:
    return [str(split_path(examples, split) / "*") for split in require_splits(examples, splits)]


def _require_readable(examples: Artifact, splits: set[str]) -> None:
    """Checks that records are tf.Examples, because TFX's readers, and those of modules, silently skip other records."""
    if payload_format(examples) == TF_EXAMPLE:
        for split in sorted(splits):
            for file in split_files(examples, split):
                require_tf_examples(file)


def _saved_model(model: Artifact | None) -> str | None:
    """The SavedModel of an artifact; None if it is empty, as the baseline stage leaves it before the first push."""
    folder = model and model.path / SERVING_DIR
    return str(folder) if folder and folder.is_dir() else None


def _read_hyperparameters(hyperparameters: Artifact | None) -> dict[str, Any] | None:
    if hyperparameters is None:
        return None
    path = hyperparameters.path / "best_hyperparameters.txt"
    try:
        return json.loads(path.read_text())  # type: ignore[no-any-return]
    except FileNotFoundError as error:
        raise UserError(f"there is no {path}", fix="give the output of a tuner") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON: {error}", fix="write the hyperparameters as one JSON object") from error


def fn_args(
    *,
    examples: Artifact,
    model: Artifact,
    model_run: Artifact,
    transform_graph: Artifact | None,
    schema: Artifact | None,
    base_model: Artifact | None,
    hyperparameters: Artifact | None,
    train_steps: int,
    eval_steps: int,
    train_splits: list[str],
    eval_splits: list[str],
    custom_config: dict[str, Any],
) -> FnArgs:
    """Fills in the FnArgs.

    Raises:
        UserError: The examples lack a split, or the hyperparameters are missing or not JSON.
        DataError: A file of tf.Examples is damaged, or holds something else.
    """
    train_splits, eval_splits = train_splits or ["train"], eval_splits or ["eval"]
    patterns = _patterns(examples, train_splits), _patterns(examples, eval_splits)
    _require_readable(examples, {*train_splits, *eval_splits})
    schema_path = str(schema.path / "schema.pbtxt") if schema else None
    transform_path = str(transform_graph.path) if transform_graph else None
    return FnArgs(
        train_files=patterns[0],
        eval_files=patterns[1],
        train_steps=train_steps or None,
        eval_steps=eval_steps or None,
        schema_path=schema_path,
        schema_file=schema_path,
        transform_graph_path=transform_path,
        transform_output=transform_path,
        data_accessor=data_accessor(payload_format(examples)),
        serving_model_dir=str(model.path / SERVING_DIR),
        eval_model_dir=str(model.path / EVAL_DIR),
        model_run_dir=str(model_run.path),
        base_model=_saved_model(base_model),
        hyperparameters=_read_hyperparameters(hyperparameters),
        custom_config=custom_config or None,
    )
