"""The settings of a recorder."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from components.contract.errors import UserError
from taxiway.storage.home import Home

if TYPE_CHECKING:
    from components.inference.privacy.privacy import Privacy


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is recorded, and where.

    Attributes:
        tables: The folder or URL that holds a folder for each model.
        share: The share of requests that is recorded, above 0 to 1.
        seconds: How often rows are written.
        rows: Rows are written earlier if there are so many.
        most_requests: Limit of requests that wait to become rows.
        most_bytes: Limit of their size, and of the size of rows that wait to be written.
        stop_seconds: How long a stop waits for the last write.
        privacy: What may not be written as it was sent.
    """

    tables: str
    share: float = 0.1
    seconds: float = 10.0
    rows: int = 50_000
    most_requests: int = 50_000
    most_bytes: int = 128 << 20
    stop_seconds: float = 8.0
    privacy: Privacy = field(default_factory=lambda: load_privacy(None))


def require_share(share: float, where: str) -> float:
    """Returns a valid share.

    Raises:
        UserError: It is not above 0, or above 1.
    """
    if not (math.isfinite(share) and 0 < share <= 1):
        raise UserError(f"{where} is {share:g}", fix="use a number above 0, up to 1")
    return share


def from_flags(tables: str, share: float | None, privacy: Path | None = None) -> Settings | None:
    """Settings from `--inference-tables` and `--inference-share`, either of which switches recording on.

    Raises:
        UserError: The share is not valid, or `--privacy` is wrong or without the others.
    """
    if not tables and share is None:
        if privacy:
            raise UserError("--privacy is given, and nothing is recorded", fix="add --inference-tables, or remove it")
        return None
    found = Settings.share if share is None else require_share(share, "--inference-share")
    return Settings(tables=tables or str(Home.default().monitoring), share=found, privacy=load_privacy(privacy))


def load_privacy(file: Path | None) -> Privacy:
    """The rules of a file; none without one."""
    # Rules work on Arrow columns, which who records nothing need not load.
    from components.inference.privacy import privacy as rules

    return rules.load(file) if file else rules.Privacy()
