"""What reports show of a comparison."""

from components.reports.artifacts import Sections

SECTIONS: Sections = []
