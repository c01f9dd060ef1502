"""The sections about artifacts, by type, in the order of a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from components.contract.artifacts import Artifact, Model, ModelBlessing
from components.reports.data import anomalies, schema, statistics
from components.reports.model import evaluation, lineage_picture, serving, training, transform
from components.reports.page import Section
from components.reports.ran import Ran

Renderer = Callable[[Artifact, Ran], Section]
"""Makes the section about an artifact and what came with it. It reads the artifact's files and may raise anything."""


def _alone(renderer: Callable[[Artifact], Section]) -> Renderer:
    return lambda artifact, _: renderer(artifact)


def _training(model_run: Artifact, ran: Ran) -> Section:
    return training.section(ran.output(Model), model_run, ran=ran)


def _evaluation(artifact: Artifact, ran: Ran) -> Section:
    return evaluation.section(artifact, ran.output(ModelBlessing))


RENDERERS: Sequence[tuple[str, Renderer]] = (
    ("ExampleStatistics", _alone(statistics.of_artifact)),
    ("Schema", _alone(schema.of_artifact)),
    ("ExampleAnomalies", _alone(anomalies.of_artifact)),
    ("TransformGraph", _alone(transform.section)),
    ("ModelRun", _training),
    ("ModelEvaluation", _evaluation),
    ("InfraBlessing", _alone(serving.validation_section)),
    ("PushedModel", _alone(serving.push_section)),
    ("PushedModel", _alone(lineage_picture.of_artifact)),
)
"""By the name of the artifact's type, which may have several."""
