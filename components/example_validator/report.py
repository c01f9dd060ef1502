"""What reports show of anomalies, drift and skew."""

from components.contract.artifacts import ExampleAnomalies
from components.reports.artifacts import Sections, alone
from components.reports.data import anomalies

SECTIONS: Sections = [(ExampleAnomalies, alone(anomalies.of_artifact))]
