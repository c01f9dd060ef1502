"""What reports show of a push: where to, and what the model was made from."""

from components.contract.artifacts import Artifact, PushedModel
from components.reports.artifacts import Sections, alone
from components.reports.model import lineage_picture, serving
from components.reports.page import Section
from components.reports.ran import Ran


def _push(pushed_model: Artifact, ran: Ran) -> Section:
    return serving.push_section(pushed_model, has_labels=not ran.has_just_ended)


SECTIONS: Sections = [(PushedModel, _push), (PushedModel, alone(lineage_picture.of_artifact))]
