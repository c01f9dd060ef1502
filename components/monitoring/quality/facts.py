"""What is known of a version before its quality is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from components.monitoring.labels.join import MAX_AGE
from components.monitoring.quality.estimate.calibration import Calibrated


@dataclass(frozen=True)
class Version:
    """A version of the model.

    Attributes:
        version: Its number.
        eval_config: The pipeline's EvalConfig as JSON.
        model: The folder of its SavedModel; None if there is none at hand. It makes transformed labels and slices.
        schema: The schema as text (schema.pbtxt), if there is one.
        expected: What `slices.json` has in the evaluation before the push.
        calibrated: What its scores were worth on rows with labels; None if there are none.
    """

    version: int
    eval_config: Mapping[str, Any]
    model: Path | None = None
    schema: str = ""
    expected: Sequence[Mapping[str, Any]] = ()
    calibrated: Calibrated | None = None


@dataclass(frozen=True)
class Settings:
    """How quality is measured.

    Attributes:
        champion: The version that the others are compared with; the lowest in the window by default.
        max_age: How long after a request an outcome with its keys may happen.
        level: How many of 100 intervals may miss the true value, divided by 100.
        estimate: Whether quality is estimated.
    """

    champion: int | None = None
    max_age: timedelta = MAX_AGE
    level: float = 0.05
    estimate: bool = True
