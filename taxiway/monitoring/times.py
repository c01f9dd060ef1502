"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

from components.contract.errors import UserError


def moment(text: str, where: str) -> datetime | None:
    """A time; without a zone it is UTC; None if the text is empty.

    Raises:
        UserError: It is no time.
    """
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{where} is {text!r}", fix="write a time such as 2026-02-01T08:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
