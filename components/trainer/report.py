"""What reports show of a training."""

from components.contract.artifacts import Artifact, Model, ModelRun
from components.reports.artifacts import Sections
from components.reports.model import training
from components.reports.page import Section
from components.reports.ran import Ran


def _training(model_run: Artifact, ran: Ran) -> Section:
    return training.section(ran.output(Model), model_run, ran=ran)


SECTIONS: Sections = [(ModelRun, _training)]
