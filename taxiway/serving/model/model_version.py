"""One version of a model, from before it is loaded until it is unloaded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_status_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)

from components.data import tensor_protos
from taxiway.serving import examples
from taxiway.serving.errors import ServingError
from taxiway.serving.metrics import Metrics
from taxiway.serving.model.batching import Runner
from taxiway.serving.request_log import RequestLog

if TYPE_CHECKING:
    from taxiway.serving.model.saved_model import SavedModel
    from taxiway.serving.model.signatures import Arrays, Outputs, Signature

State = get_model_status_pb2.ModelVersionStatus


@dataclass(frozen=True)
class Loaded:
    """The parts of a version that exist while it is loaded."""

    model: SavedModel
    runner: Runner


@dataclass(eq=False)
class ModelVersion:
    """A version of a model; only the event loop changes it.

    Attributes:
        name: The model's name.
        version: The version number.
        folder: The SavedModel's folder.
        state: TF Serving's state: START, LOADING, AVAILABLE, UNLOADING, END.
        error: Why it failed to load; None if it did not fail.
        loaded: The model, from AVAILABLE until it is unloaded.
        log: The request log; None if requests are not logged.
        leases: Number of requests that use it.
    """

    name: str
    version: int
    folder: Path
    metrics: Metrics
    state: int = State.START
    error: ServingError | None = None
    loaded: Loaded | None = None
    log: RequestLog | None = None
    leases: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._call_micros, self._call_rows = self.metrics.of_calls(self.name)

    def enter(self, state: int) -> None:
        """Changes the state."""
        self.state = state
        self.metrics.state(self.name, self.version, state)

    def signature(self, name: str) -> Signature:
        """The signature with a name; "" is the default one. Raises as `SavedModel.signature`."""
        return self._model.signature(name)

    def signatures(self) -> list[Signature]:
        """All callable signatures."""
        found = []
        for name in sorted(self._model.signature_def):
            with suppress(ServingError):
                found.append(self.signature(name))
        return found

    async def predict(self, signature: Signature, inputs: Arrays, output_filter: Collection[str] = ()) -> Outputs:
        """Runs a signature on tensors.

        Args:
            signature: A signature of this version.
            inputs: The inputs by name; strings are bytes objects.
            output_filter: The outputs to return; default: all.

        Raises:
            ServingError: The inputs or the filter do not fit the signature, or TensorFlow refuses the values.
        """
        if output_filter:
            _require_outputs(signature, output_filter)
        inputs = signature.completed(inputs)
        outputs = await self._run(signature, inputs)
        wanted = {name: outputs[name] for name in output_filter} if output_filter else outputs
        if self.log and self.log.is_sampled():
            self.log.put(lambda: self._logged_predict(signature, inputs, wanted))
        return wanted

    async def classify(self, signature_name: str, given: Sequence[bytes]) -> classification_pb2.ClassificationResult:
        """Runs a signature on serialized tf.Examples; raises as `predict`."""
        signature = self._of_examples(signature_name, examples.CLASSIFY)
        outputs = await self._run(signature, signature.completed(examples.inputs(given)))
        result = examples.classifications(outputs, len(given))
        if self.log and self.log.is_sampled():
            self.log.put(lambda: self._logged_classify(signature, given, result))
        return result

    async def regress(self, signature_name: str, given: Sequence[bytes]) -> regression_pb2.RegressionResult:
        """Runs a signature on serialized tf.Examples; raises as `predict`."""
        signature = self._of_examples(signature_name, examples.REGRESS)
        outputs = await self._run(signature, signature.completed(examples.inputs(given)))
        result = examples.regressions(outputs, len(given))
        if self.log and self.log.is_sampled():
            self.log.put(lambda: self._logged_regress(signature, given, result))
        return result

    @property
    def _model(self) -> SavedModel:
        assert self.loaded is not None, "leased versions are loaded"
        return self.loaded.model

    def _of_examples(self, name: str, method: str) -> Signature:
        """A signature that takes examples. TF Serving's code for a missing one differs here."""
        try:
            signature = self.signature(name)
        except ServingError as error:
            if error.code is not grpc.StatusCode.FAILED_PRECONDITION:
                raise
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, error.message) from error
        examples.require(signature, method)
        return signature

    async def _run(self, signature: Signature, inputs: Arrays) -> Outputs:
        assert self.loaded is not None
        began = time.perf_counter()
        try:
            if signature.has_other_ranks(inputs):
                await self._require_ranks(signature, inputs)
            outputs = await self.loaded.runner.run(signature, inputs)
        except ServingError as error:
            raise signature.explained(error, inputs) from error
        self._call_micros.observe((time.perf_counter() - began) * 1e6)
        self._call_rows.observe(next((len(array) for array in inputs.values() if array.ndim), 1))
        return outputs

    async def _require_ranks(self, signature: Signature, inputs: Arrays) -> None:
        """Refuses ranks that fail in TensorFlow's shape inference."""
        refusal = self._model.known_refusal(signature, inputs)
        if refusal is None:
            refusal = await asyncio.to_thread(self._model.refusal, signature, inputs)
        if refusal:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, refusal)

    def _logged_predict(
        self, signature: Signature, inputs: Arrays, outputs: Outputs
    ) -> prediction_log_pb2.PredictionLog:
        log = prediction_log_pb2.PredictionLog()
        request, response = log.predict_log.request, log.predict_log.response
        fill_inputs(request, signature, inputs)
        fill_outputs(response, signature, outputs)
        self.name_in(request.model_spec, signature)
        self.name_in(response.model_spec, signature)
        self.name_in(log.log_metadata.model_spec, signature)
        return log

    def _logged_classify(
        self, signature: Signature, given: Sequence[bytes], result: classification_pb2.ClassificationResult
    ) -> prediction_log_pb2.PredictionLog:
        log = prediction_log_pb2.PredictionLog()
        return self._logged_examples(log, log.classify_log, signature, given, result)

    def _logged_regress(
        self, signature: Signature, given: Sequence[bytes], result: regression_pb2.RegressionResult
    ) -> prediction_log_pb2.PredictionLog:
        log = prediction_log_pb2.PredictionLog()
        return self._logged_examples(log, log.regress_log, signature, given, result)

    def _logged_examples(
        self,
        log: prediction_log_pb2.PredictionLog,
        part: prediction_log_pb2.ClassifyLog | prediction_log_pb2.RegressLog,
        signature: Signature,
        given: Sequence[bytes],
        result: classification_pb2.ClassificationResult | regression_pb2.RegressionResult,
    ) -> prediction_log_pb2.PredictionLog:
        for example in given:
            part.request.input.example_list.examples.add().ParseFromString(example)
        part.response.result.CopyFrom(result)
        for spec in (part.request.model_spec, part.response.model_spec, log.log_metadata.model_spec):
            self.name_in(spec, signature)
        return log

    def name_in(self, spec: predict_pb2.model__pb2.ModelSpec, signature: Signature) -> None:
        """Writes the version and the signature into a response."""
        spec.name = self.name
        spec.version.value = self.version
        spec.signature_name = signature.name


class Lease:
    """Keeps a version loaded while the block runs. A class, which is faster than a generator; every request uses it."""

    def __init__(self, version: ModelVersion) -> None:
        self._version = version

    async def __aenter__(self) -> ModelVersion:
        self._version.leases += 1
        return self._version

    async def __aexit__(self, *_: object) -> None:
        self._version.leases -= 1
        if not self._version.leases:
            self._version.unused.set()


def fill_inputs(request: predict_pb2.PredictRequest, signature: Signature, inputs: Arrays) -> None:
    """Writes arrays into a request."""
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tensor_protos.to_proto(array, signature.inputs[name].type))


def fill_outputs(
    response: predict_pb2.PredictResponse, signature: Signature, outputs: Mapping[str, np.ndarray]
) -> None:
    """Writes arrays into a response."""
    for name, array in outputs.items():
        response.outputs[name].CopyFrom(tensor_protos.to_proto(array, signature.outputs[name].type))


def _require_outputs(signature: Signature, wanted: Collection[str]) -> None:
    """Refuses a filter with unknown or repeated names, with TF Serving's messages (predict_util.cc)."""
    for name in wanted:
        if name not in signature.outputs:
            raise ServingError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{','.join(signature.outputs)}}}.",
            )
    if len(set(wanted)) < len(wanted):
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"duplicate output tensor alias: {', '.join(wanted)}")
