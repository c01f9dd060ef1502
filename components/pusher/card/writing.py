"""The files of a card, as they lie in a pushed version and in its artifact."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from components.contract.artifacts import SLICES_FILE, ModelEvaluation
from components.contract.digests import CARD_FILES
from components.execution.provenance import Record
from components.pusher.card import content, pages
from components.pusher.card.settings import Settings


def files(settings: Settings, records: Sequence[Record], evaluation: ModelEvaluation | None) -> dict[str, str]:
    """The files by name. A card that cannot be made is a warning, and no reason not to push the model."""
    try:
        card = content.card(settings, records, _slices(evaluation))
        texts = [json.dumps(card, indent=1) + "\n", pages.markdown(card), pages.page(card)]
        return dict(zip(CARD_FILES, texts, strict=True))
    except Exception as error:
        words = f"the model card cannot be made: {type(error).__name__}: {error}"
        print(f"warning: {words}", file=sys.stderr, flush=True)
        return {}


def _slices(evaluation: ModelEvaluation | None) -> list[dict[str, Any]]:
    file = evaluation.path / SLICES_FILE if evaluation else None
    return list(json.loads(file.read_text())) if file and file.is_file() else []
