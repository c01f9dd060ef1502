"""Values of parameters as a page shows them."""

from __future__ import annotations

import json

from components.reports.figures import NOTHING, cut
from components.reports.markup import Content
from components.reports.parts import block, code, fold

_LONG = 60


def shortened(value: str) -> Content:
    """A value; a long one folded, and JSON by lines."""
    if len(value) <= _LONG:
        return code(value) if value else NOTHING
    return fold(code(cut(value, _LONG)), block(indented(value)))


def indented(value: str) -> str:
    """JSON by lines; anything else as it is."""
    try:
        return json.dumps(json.loads(value), indent=1, ensure_ascii=False)
    except ValueError:
        return value
