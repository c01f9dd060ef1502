"""The monitor's settings file: what is watched, where alarms go, and what of the rows is private."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.contract.commands import typed
from components.contract.errors import UserError
from components.inference.privacy.privacy import Privacy
from components.inference.privacy.privacy import load as load_privacy
from components.monitoring.passes.settings import Settings as Watched
from components.monitoring.passes.settings import parsed
from taxiway import yaml_files
from taxiway.alerts import settings as alerts
from taxiway.alerts.settings import Alerts

_FIX = f"write one with `{typed('taxiway monitor init', 'MODEL')}`"
_ALERTS, _PRIVACY = "alerts", "privacy"


@dataclass(frozen=True)
class Settings:
    """All settings of a model's monitor.

    Attributes:
        watched: What is watched, and how.
        alerts: Where alarms go.
        privacy: The rules by which the recorder protects rows: training data are made alike before they are compared.
    """

    watched: Watched = field(default_factory=Watched)
    alerts: Alerts = field(default_factory=Alerts)
    privacy: Privacy | None = None

    def with_window(self, window: str) -> Settings:
        """With windows of another length; an empty text changes nothing."""
        if not window:
            return self
        watched = replace(self.watched, window=window)
        assert watched.every
        return replace(self, watched=watched)


def load(file: Path | None) -> Settings:
    """Reads a settings file; without one, the defaults.

    Raises:
        UserError: The file cannot be read, or a setting is unknown or wrong.
    """
    if file is None:
        return Settings()
    given = _read(file)
    own = {name: value for name, value in given.items() if name not in (_ALERTS, _PRIVACY)}
    watched = parsed(own, str(file))
    return Settings(
        watched,
        alerts.parsed(given.get(_ALERTS), f"{file}: {_ALERTS}"),
        load_privacy(file) if given.get(_PRIVACY) else None,
    )


def _read(file: Path) -> dict[str, Any]:
    found = yaml_files.read(file, _FIX)
    if found is not None and not isinstance(found, dict):
        raise UserError(f"{file} is not a map of settings", fix=_FIX)
    return found or {}
