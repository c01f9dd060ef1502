"""What reports show of statistics."""

from components.contract.artifacts import Artifact, ExampleStatistics
from components.reports.artifacts import Sections
from components.reports.data import statistics
from components.reports.page import Section
from components.reports.ran import Ran


def _statistics(found: Artifact, ran: Ran) -> Section:
    return statistics.of_artifact(found, ran.earlier(ExampleStatistics))


SECTIONS: Sections = [(ExampleStatistics, _statistics)]
