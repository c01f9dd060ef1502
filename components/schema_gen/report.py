"""What reports show of a schema."""

from components.contract.artifacts import Artifact, Schema
from components.reports.artifacts import Sections
from components.reports.data import schema
from components.reports.page import Section
from components.reports.ran import Ran


def _schema(found: Artifact, ran: Ran) -> Section:
    return schema.of_artifact(found, ran.earlier(Schema))


SECTIONS: Sections = [(Schema, _schema)]
