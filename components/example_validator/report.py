"""What reports show of anomalies, drift and skew."""

from components.contract.artifacts import Artifact, ExampleAnomalies
from components.reports.artifacts import Sections
from components.reports.data import anomalies
from components.reports.page import Section
from components.reports.ran import Ran


def _anomalies(found: Artifact, ran: Ran) -> Section:
    return anomalies.of_artifact(found, ran.inputs)


SECTIONS: Sections = [(ExampleAnomalies, _anomalies)]
