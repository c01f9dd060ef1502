"""The stage's settings: those of `taxiway monitor`, without the ways out of alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.contract.errors import UserError

if TYPE_CHECKING:
    from components.inference.privacy.privacy import Privacy
    from components.monitoring.passes.settings import Settings as Watched

_PRIVACY, _ALERTS = "privacy", "alerts"


@dataclass(frozen=True)
class Settings:
    """What a pass does.

    Attributes:
        watched: What is watched, and how.
        privacy: The rules by which the recorder protects rows.
    """

    watched: Watched
    privacy: Privacy | None = None


def parse(given: Mapping[str, Any]) -> Settings:
    """The settings in a map.

    Raises:
        UserError: A setting is unknown or wrong.
    """
    # By name: compiling a pipeline needs no Arrow.
    from components.inference.privacy.privacy import Privacy
    from components.monitoring.passes.settings import parsed

    if _ALERTS in given:
        raise UserError(
            "settings has alerts, which the stage does not send",
            fix="remove alerts from the settings, and use the output `alarms`",
        )
    own = {name: _whole(value) for name, value in given.items() if name != _PRIVACY}
    private = Privacy.of(given[_PRIVACY], where=f"settings.{_PRIVACY}") if given.get(_PRIVACY) else None
    return Settings(parsed(own, "settings"), private)


def _whole(value: Any) -> Any:
    """Compiled pipelines store every number as a double."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
