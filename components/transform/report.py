"""What reports show of a transform."""

from components.contract.artifacts import TransformGraph
from components.reports.artifacts import Sections, alone
from components.reports.model import transform

SECTIONS: Sections = [(TransformGraph, alone(transform.section))]
