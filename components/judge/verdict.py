"""The rule by which a challenger is better than the champion, worse, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.contract.errors import UserError

BETTER, WORSE, UNDECIDED, NO_CHAMPION = "better", "worse", "undecided", "no_champion"

LEAST_TELLING = 10.0
"""Rows that tell two models apart; an interval from fewer is too short, by however many other rows."""


@dataclass(frozen=True)
class Rule:
    """When a challenger is better.

    Attributes:
        metric: The metric that decides.
        least_gain: How much better it has to be on recent rows.
        margin: How much worse it may be on the other rows.
        level: How many of 100 intervals may miss the true gain, divided by 100.
        least_rows: The number of recent rows below which nothing is decided.
    """

    metric: str
    least_gain: float = 0.0
    margin: float = 0.01
    level: float = 0.05
    least_rows: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise UserError(f"level is {self.level}", fix="use a number between 0 and 1, such as 0.05")
        for name in ("least_gain", "margin"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} is {getattr(self, name)}", fix="use a number of at least 0")


@dataclass(frozen=True)
class Gain:
    """How much better the challenger is on some rows.

    Attributes:
        name: Which rows: `recent`, `examples`, or `together`.
        rows: Their number.
        challenger: The challenger's metric; None where it is not defined.
        champion: The champion's; None too if there is none.
        value: The gain: positive if the challenger is better.
        low: The low end of its interval; None if nothing can be said.
        high: The high end.
        telling: How many rows tell the models apart.
    """

    name: str
    rows: int
    challenger: float | None = None
    champion: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    telling: float = 0.0


@dataclass(frozen=True)
class Decision:
    """A verdict and its reason, in a sentence."""

    verdict: str
    reason: str

    @property
    def blessed(self) -> bool:
        """Whether the challenger may be pushed."""
        return self.verdict in (BETTER, NO_CHAMPION)


def decide(gains: Sequence[Gain], rule: Rule, *, has_champion: bool = True) -> Decision:
    """The verdict on the gains on recent rows, and on other rows if there are any."""
    if not has_champion:
        return Decision(NO_CHAMPION, "there is no champion to compare with")
    found = [_on_recent(gains[0], rule), *(_on_others(each, rule) for each in gains[1:] if each.name == "examples")]
    for verdict in (WORSE, UNDECIDED):
        reasons = [each.reason for each in found if each.verdict == verdict]
        if reasons:
            return Decision(verdict, "; ".join(reasons))
    return Decision(BETTER, "; ".join(each.reason for each in found))


def _on_recent(gain: Gain, rule: Rule) -> Decision:
    said = f"on recent rows {described(gain, rule)}"
    if gain.rows < rule.least_rows:
        return Decision(UNDECIDED, f"there are {gain.rows} recent rows, fewer than {rule.least_rows}")
    if gain.value is None or gain.low is None or gain.high is None:
        return Decision(UNDECIDED, f"{rule.metric} has no interval on recent rows")
    if gain.telling < LEAST_TELLING:
        few = f"{gain.telling:.0f} of {gain.rows:,} recent rows tell the models apart"
        return Decision(UNDECIDED, f"{few}, fewer than {LEAST_TELLING:.0f}")
    if gain.high < 0:
        return Decision(WORSE, f"{said}: the champion is better")
    if gain.low > rule.least_gain:
        return Decision(BETTER, said)
    wanted = f"more than {rule.least_gain:g}" if rule.least_gain else "a gain"
    return Decision(UNDECIDED, f"{said}, which does not show {wanted}")


def _on_others(gain: Gain, rule: Rule) -> Decision:
    said = f"on the other rows {described(gain, rule)}"
    if gain.value is None or gain.low is None or gain.high is None:
        return Decision(UNDECIDED, f"{rule.metric} has no interval on the other rows")
    if gain.high < -rule.margin:
        return Decision(WORSE, f"{said}: the champion is better by more than {rule.margin:g}")
    if gain.low >= -rule.margin:
        return Decision(BETTER, f"{said}, not worse than the margin of {rule.margin:g}")
    return Decision(UNDECIDED, f"{said}, which may be worse than the margin of {rule.margin:g}")


def described(gain: Gain, rule: Rule) -> str:
    """A gain in words."""
    if gain.value is None or gain.low is None or gain.high is None or gain.challenger is None:
        return f"{rule.metric} cannot be compared"
    values = f"{rule.metric} is {gain.challenger:.4g}, the champion's {gain.champion:.4g}"
    return f"{values} (gain {gain.value:+.4f}, {1 - rule.level:.0%} interval {gain.low:+.4f} to {gain.high:+.4f})"
