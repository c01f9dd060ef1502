"""What reports show of a candidate's trial in a server."""

from components.contract.artifacts import InfraBlessing
from components.reports.artifacts import Sections, alone
from components.reports.model import serving

SECTIONS: Sections = [(InfraBlessing, alone(serving.validation_section))]
