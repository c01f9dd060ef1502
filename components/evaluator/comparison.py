"""The evaluation with a baseline, and what happens if the baseline fails."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from components.contract.artifacts import Artifact
from components.contract.errors import ServiceError, UserError
from components.evaluator import models
from components.evaluator.evaluation import Evaluation

IGNORE, FAIL = "ignore", "fail"


def require_known(on_baseline_failure: str) -> None:
    """Refuses an unknown setting.

    Raises:
        UserError: It is neither `ignore` nor `fail`.
    """
    if on_baseline_failure not in (IGNORE, FAIL):
        raise UserError(f"on_baseline_failure is {on_baseline_failure!r}", fix=f"write {IGNORE!r} or {FAIL!r}")


def evaluate(
    prepare: Callable[[Artifact | None], Evaluation],
    baseline: Artifact | None,
    folder: Path,
    beam_pipeline_args: list[str] | None,
    on_baseline_failure: str,
) -> tuple[Evaluation, str]:
    """Evaluates into a folder, and returns why the baseline was ignored; empty if it was not.

    If the evaluation fails with the baseline and succeeds without it, the baseline is at fault, whatever the error: it
    does not load, it does not take today's columns, it predicts NaN, it has fewer classes.

    Args:
        prepare: Makes the evaluation with a baseline or without one.
        baseline: The model to compare with.
        folder: Where TFMA's result files go.
        beam_pipeline_args: As for `Evaluation.write`.
        on_baseline_failure: `ignore` it, as where there is none, or `fail`.

    Raises:
        UserError: The settings, the rows or the candidate are wrong; or the baseline is, and must not be ignored.
    """
    if not models.exists(baseline):
        return _evaluated(prepare, None, folder, beam_pipeline_args), ""
    try:
        return _evaluated(prepare, baseline, folder, beam_pipeline_args), ""
    except (OSError, MemoryError, ServiceError):
        raise
    except Exception as error:
        failure = error
    print("evaluator: the evaluation fails with the baseline; retrying without it", flush=True)
    _clear(folder)
    alone = _evaluated(prepare, None, folder, beam_pipeline_args)
    what = failure.what if isinstance(failure, UserError) else f"{type(failure).__name__}: {failure}"
    assert baseline is not None
    if on_baseline_failure == FAIL:
        raise UserError(
            f"the baseline {models.place(baseline)} fails, but the candidate does not: {what}",
            fix='push a model that works, or set on_baseline_failure="ignore"',
        ) from failure
    return alone, f"the baseline {models.place(baseline)} was ignored because it fails: {what}"


def _evaluated(
    prepare: Callable[[Artifact | None], Evaluation],
    baseline: Artifact | None,
    folder: Path,
    beam_pipeline_args: list[str] | None,
) -> Evaluation:
    work = prepare(baseline)
    work.write(folder, beam_pipeline_args)
    return work


def _clear(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
