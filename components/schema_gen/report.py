"""What reports show of a schema."""

from components.contract.artifacts import Schema
from components.reports.artifacts import Sections, alone
from components.reports.data import schema

SECTIONS: Sections = [(Schema, alone(schema.of_artifact))]
