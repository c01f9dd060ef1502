"""The rule by which a challenger is better, worse, or neither."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from components.contract.errors import UserError
from components.judge.verdict import Gain, Rule, decide

RULE = Rule("auc", least_gain=0.01, margin=0.02)


def gain(name: str, value: float | None, half: float | None = 0.0, **more: Any) -> Gain:
    """A gain with an interval around it."""
    ends = {} if value is None or half is None else {"low": value - half, "high": value + half}
    known = {"rows": 1000, "challenger": 0.8, "champion": 0.7, "telling": 500.0, **ends, **more}
    return Gain(name, value=value, **known)


@pytest.mark.parametrize(
    ("recent", "others", "verdict", "reason"),
    [
        ((0.05, 0.03), (0.0, 0.02), "better", "not worse than the margin of 0.02"),
        ((0.05, 0.041), (0.0, 0.02), "undecided", "on recent rows .* does not show more than 0.01"),
        ((-0.05, 0.04), (0.5, 0.02), "worse", "on recent rows .* the champion is better"),
        ((-0.05, 0.06), (0.5, 0.02), "undecided", "on recent rows"),
        ((0.05, 0.03), (-0.01, 0.011), "undecided", "on the other rows .* may be worse than the margin of 0.02"),
        ((0.05, 0.03), (-0.05, 0.029), "worse", "on the other rows .* the champion is better by more than 0.02"),
        ((0.0, 0.1), (-0.05, 0.029), "worse", "on the other rows"),
        ((0.0, 0.1), (0.0, 0.1), "undecided", "on recent rows .*; on the other rows"),
        ((0.05, None), (0.0, 0.02), "undecided", "auc has no interval on recent rows"),
        ((0.05, 0.03), (None, None), "undecided", "auc has no interval on the other rows"),
    ],
)
def test_both_the_recent_rows_and_the_others_have_to_speak_for_it(
    recent: tuple[float, float], others: tuple[float, float], verdict: str, reason: str
) -> None:
    found = decide([gain("recent", *recent), gain("examples", *others), gain("together", 9.0)], RULE)
    assert found.verdict == verdict
    assert found.blessed == (verdict == "better")
    assert re.search(reason, found.reason), found.reason


def test_few_rows_decide_nothing() -> None:
    found = decide([gain("recent", 0.5, 0.1, rows=99)], RULE)
    assert (found.verdict, found.reason) == ("undecided", "there are 99 recent rows, fewer than 100")
    found = decide([gain("recent", 0.005, 0.001, telling=4.2)], Rule("auc"))
    assert (found.verdict, found.reason) == (
        "undecided",
        "4 of 1,000 recent rows tell the models apart, fewer than 10",
    )


def test_equal_models_are_undecided() -> None:
    assert decide([gain("recent", 0.0, 0.0, telling=0.0)], Rule("auc")).verdict == "undecided"


def test_without_a_champion_the_model_is_blessed_and_the_verdict_says_so() -> None:
    found = decide([gain("recent", None, champion=None), gain("examples", None)], RULE, has_champion=False)
    assert (found.verdict, found.blessed, found.reason) == ("no_champion", True, "there is no champion to compare with")


def test_a_metric_that_neither_model_has_is_undecided() -> None:
    found = decide([gain("recent", None, champion=None, challenger=None)], RULE)
    assert (found.verdict, found.blessed) == ("undecided", False)
    found = decide([gain("recent", None, champion=None)], RULE)
    assert (found.verdict, found.blessed) == ("undecided", False)


def test_the_reason_has_the_values_and_the_interval() -> None:
    assert decide([gain("recent", 0.1, 0.05)], Rule("auc")).reason == (
        "on recent rows auc is 0.8, the champion's 0.7 (gain +0.1000, 95% interval +0.0500 to +0.1500)"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"level": 0.0}, "level is 0.0\n  fix: use a number between 0 and 1, such as 0.05"),
        ({"level": 5}, "level is 5"),
        ({"margin": -0.1}, "margin is -0.1\n  fix: use a number of at least 0"),
        ({"least_gain": -1}, "least_gain is -1"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Rule("auc", **given)


def test_a_report_of_a_comparison_needs_no_tensorflow() -> None:
    program = "import sys, components.judge.report; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
