"""What reports show of a push: where to, the model card, and what the model was made from."""

import json

from components.contract.artifacts import Artifact, PushedModel
from components.contract.digests import CARD_FILES
from components.pusher.card import pages
from components.reports.artifacts import Sections, alone
from components.reports.model import lineage_picture, serving
from components.reports.page import Section
from components.reports.ran import Ran


def _push(pushed_model: Artifact, ran: Ran) -> Section:
    return serving.push_section(pushed_model, has_labels=not ran.has_just_ended)


def _card(pushed_model: Artifact, _: Ran) -> Section | None:
    file = pushed_model.path / CARD_FILES[0]
    return pages.section(json.loads(file.read_text())) if file.is_file() else None


SECTIONS: Sections = [
    (PushedModel, _push),
    (PushedModel, _card),
    (PushedModel, alone(lineage_picture.of_artifact)),
]
