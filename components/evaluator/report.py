"""What reports show of an evaluation."""

from components.contract.artifacts import Artifact, ModelBlessing, ModelEvaluation
from components.reports.artifacts import Sections
from components.reports.model import evaluation
from components.reports.page import Section
from components.reports.ran import Ran


def _evaluation(found: Artifact, ran: Ran) -> Section:
    return evaluation.section(found, ran.output(ModelBlessing))


SECTIONS: Sections = [(ModelEvaluation, _evaluation)]
