"""Notes for the recorder what a version was asked and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from google.protobuf.message import Message
from tensorflow.core.framework import types_pb2

from components.inference import messages
from components.inference.requests import Content
from taxiway.recording.notes import Features, Note
from taxiway.serving import examples
from taxiway.serving.errors import ServingError
from taxiway.serving.model import parsing_spec
from taxiway.serving.model.model_version import ModelVersion
from taxiway.serving.model.signatures import Signature
from taxiway.serving.rest.sample_requests import graph_in

_TYPES = {types_pb2.DT_INT64: "INT", types_pb2.DT_FLOAT: "FLOAT", types_pb2.DT_STRING: "BYTES"}


class Parsed(NamedTuple):
    """The features that a version parses from one tensor."""

    version: ModelVersion
    tensor: str

    def read(self) -> dict[str, str]:
        """The features' types by name."""
        found = parsing_spec.features(graph_in(self.version.folder), self.tensor)
        return {name: _TYPES[feature.type] for name, feature in found.items() if feature.type in _TYPES}


def note_inputs(
    note: Note, version: ModelVersion, signature: Signature, inputs: Mapping[str, np.ndarray], size: int
) -> None:
    """Notes the version and the inputs of Predict, before it runs."""
    note.version, note.size = version.version, size
    note.features = _features(version, signature)
    note.content = Content(inputs)


def note_outputs(note: Note, outputs: Mapping[str, np.ndarray], size: int) -> None:
    """Notes the outputs of Predict."""
    note.size += size
    note.content = Content(note.content.inputs, outputs)


def note_examples(note: Note, version: ModelVersion, signature_name: str, given: Sequence[bytes]) -> None:
    """Notes the version and the tf.Examples of Classify, Regress or MultiInference, before it runs."""
    note.version, note.size = version.version, sum(map(len, given))
    with suppress(ServingError):  # the call raises it as well
        note.features = _features(version, version.signature(signature_name))
    note.content = Content(examples.inputs(given), are_examples=True)


def note_results(note: Note, response: Message) -> None:
    """Notes the response to Classify, Regress or MultiInference."""
    note.size += response.ByteSize()

    def fill(filled: Note) -> None:
        outputs = messages.results(filled.api, response)
        filled.content = Content(filled.content.inputs, outputs, are_examples=True)

    note.fill = fill


def _features(version: ModelVersion, signature: Signature) -> Features | None:
    if len(signature.inputs) != 1:
        return None
    [info] = signature.inputs.values()
    return Parsed(version, info.tensor) if info.dtype == object else None
