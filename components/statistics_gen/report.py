"""What reports show of statistics."""

from components.contract.artifacts import ExampleStatistics
from components.reports.artifacts import Sections, alone
from components.reports.data import statistics

SECTIONS: Sections = [(ExampleStatistics, alone(statistics.of_artifact))]
