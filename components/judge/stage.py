"""Judge: compares a challenger with the champion on the same rows, and blesses it only if it is better.

## The rule

The gain is the challenger's metric minus the champion's, or the reverse if less is better. It is computed on the same
rows, so that what makes both wrong does not count. Its interval is a paired bootstrap over rows.

| verdict | recent rows | `examples` |
| --- | --- | --- |
| `better`: blessed | the interval's low end is above `least_gain` | its low end is at or above `-margin` |
| `worse` | the high end is below 0 | or the high end is below `-margin` |
| `undecided` | everything else | |

Both conditions have to hold, so no correction for two tests is needed: a challenger that is not better on recent rows
is blessed with a probability of at most `level` / 2. Fewer recent rows than `least_rows`, or fewer than 10 rows that
tell the models apart, decide nothing: an interval from so few rows would be too short.

Without a champion there is nothing to compare with: the challenger is blessed, and the verdict is `no_champion`.

All metrics of the EvalConfig are computed by the evaluator's own code, over all rows and by slice. The slice with the
smallest gain is shown, with an interval that holds for all slices together; it does not change the verdict: set
thresholds of the evaluator for slices that must not become worse.

A model that was not blessed is no failure of the stage: pass the blessing to the pusher, which then pushes nothing and
records the reason.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from components.contract.artifacts import (
    CustomOps,
    EvalSettings,
    Examples,
    ExamplesSplits,
    Input,
    Model,
    ModelBlessing,
    ModelComparison,
    Output,
    Role,
    Schema,
)
from components.contract.declaration import Stage
from components.contract.libraries import MODEL_ANALYSIS, TENSORFLOW, TFX, TRANSFORM

RecentSplits = Annotated[list, Role("Splits", "recent")]


class Judged(NamedTuple):
    """Whether the challenger is better, and the verdict."""

    blessed: bool
    verdict: str


def judge(
    model: Input[Model],
    recent: Input[Examples],
    comparison: Output[ModelComparison],
    blessing: Output[ModelBlessing],
    eval_config: EvalSettings,
    metric: str,
    champion: Input[Model] | None = None,
    examples: Input[Examples] | None = None,
    schema: Input[Schema] | None = None,
    recent_splits: RecentSplits = ["eval"],
    splits: ExamplesSplits = ["eval"],
    least_gain: float = 0.0,
    margin: float = 0.01,
    level: float = 0.05,
    least_rows: int = 100,
    custom_ops: CustomOps = [],
) -> Judged:
    """Compares a model with the champion on recent rows and on others, and blesses it if it is better.

    Args:
        model: The challenger.
        recent: Recent rows with labels, which neither model was trained on.
        comparison: `comparison.json`: the metrics of both models, the gains with their intervals, and the verdict.
        blessing: `BLESSED` or `NOT_BLESSED`; the metadata `not_blessed` gives the reason.
        eval_config: TFMA's EvalConfig as JSON.
        metric: The metric that decides, by its name in the evaluation, such as `binary_accuracy` or `auc`.
        champion: The model in use. An empty artifact counts as none; then the challenger is blessed.
        examples: Other rows on which the challenger must not be worse, such as those of the evaluation.
        schema: The schema of the rows.
        recent_splits: The splits of `recent`.
        splits: The splits of `examples`.
        least_gain: How much better the challenger has to be on recent rows, in the metric's units.
        margin: How much worse it may be on `examples`, in the metric's units.
        level: How many of 100 intervals may miss the true gain, divided by 100.
        least_rows: The number of recent rows below which nothing is decided.
        custom_ops: Libraries of operations that the models use, as for the evaluator.
        blessed: Whether the challenger is better, or there is no champion.
        verdict: `better`, `worse`, `undecided` or `no_champion`.
    """
    from components.judge import output
    from components.judge.compare import Compared, compare
    from components.judge.verdict import Rule, decide

    rule = Rule(metric, least_gain=least_gain, margin=margin, level=level, least_rows=least_rows)
    rows = [Compared("recent", recent, recent_splits)]
    if examples is not None:
        rows.append(Compared("examples", examples, splits))
    found = compare(model, champion, rows, schema, rule, eval_config=eval_config, custom_ops=custom_ops)
    decision = decide(found.gains, rule, has_champion=found.has_champion)
    output.write(comparison, blessing, found, rule, decision)
    return Judged(decision.blessed, decision.verdict)


STAGE = Stage(
    function=judge,
    image="train",
    loads=(TENSORFLOW, TRANSFORM, TFX, MODEL_ANALYSIS),
    after="evaluator",
    calls=("evaluator",),
    has_report=True,
)
