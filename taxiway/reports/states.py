"""How states of runs and tasks are shown: a word, a sign, and a colour."""

from __future__ import annotations

from markupsafe import Markup

from components.reports.parts import Kind, badge

_SHOWN: dict[str, tuple[str, str, Kind]] = {
    "SUCCEEDED": ("done", "✓", "good"),
    "CACHED": ("cached", "↺", "info"),
    "SKIPPED": ("skipped", "–", "plain"),
    "FAILED": ("failed", "✗", "bad"),
    "CANCELED": ("canceled", "■", "warn"),
    "RUNNING": ("running", "▶", "info"),
    "WAITING": ("waiting", "·", "plain"),
    "NOT_STARTED": ("not started", "–", "plain"),
    "UNREADABLE": ("unreadable", "?", "warn"),
    "KILLED": ("killed", "✗", "bad"),
}


def word_of(state: str) -> str:
    """A state in a word."""
    return _SHOWN.get(state, (state.lower(), "", "plain"))[0]


def sign_of(state: str) -> str:
    """A state as a sign."""
    return _SHOWN.get(state, ("", "", "plain"))[1]


def kind_of(state: str) -> Kind:
    """The colour of a state."""
    return _SHOWN.get(state, ("", "", "plain"))[2]


def badge_of(state: str) -> Markup:
    """A state as a badge."""
    return badge(word_of(state), kind_of(state), sign_of(state))
