"""The gRPC API of the model server: TF Serving's services."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Any

import grpc
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from components.contract.errors import TaxiwayError
from components.data import tensor_protos
from taxiway.network.http_server import computed
from taxiway.recording import request_ids
from taxiway.recording.notes import Note
from taxiway.recording.recorder import Recorder
from taxiway.serving import examples, recorded
from taxiway.serving.errors import ServingError
from taxiway.serving.model import model_config
from taxiway.serving.model.model_version import ModelVersion, fill_outputs
from taxiway.serving.model.served_model import Models
from taxiway.serving.model_manager import ModelManager

_CODE = grpc.StatusCode
_CONFIG_WHERE = "the request's config"
_INTERNAL = "Internal error; see the server's log"

_log = logging.getLogger(__name__)


class _Answering:
    """Turns results and errors into responses, and counts the calls."""

    def __init__(self, models: Models, recorder: Recorder | None = None) -> None:
        self._models, self._recorder = models, recorder

    async def _answered(
        self, api: str, spec: model_pb2.ModelSpec, result: Awaitable[Any], context: Any, note: Note | None = None
    ) -> Any:
        began, code, message = time.perf_counter(), _CODE.OK, None
        try:
            return await result
        except ServingError as error:
            code, message = error.code, error.message
            await context.abort(error.code, error.message)
        except asyncio.CancelledError:
            code = _CODE.CANCELLED
            raise
        except Exception:
            code, message = _CODE.INTERNAL, _INTERNAL
            _log.exception("%s failed", api)
            await context.abort(code, _INTERNAL)
        finally:
            seconds = time.perf_counter() - began
            # Only configured names, so that clients cannot add label values, or tables.
            known = spec.name if spec.name in self._models.by_name else ""
            self._models.metrics.request(known, api, "GRPC", code.name, seconds)
            if note and known:
                self._record(note, spec, code, message)

    def _noted(self, api: str, context: Any) -> Note | None:
        """Returns a note if the request is sampled; tells the client the request's id if it is, or was sent."""
        if not self._recorder:
            return None
        sent, sampled = request_ids.sent(context.invocation_metadata()), self._recorder.is_sampled()
        if sent is None and not sampled:
            return None
        found = request_ids.request_id(sent)
        context.set_trailing_metadata(((request_ids.KEY, found),))
        return self._recorder.begin(found, api, "GRPC") if sampled else None

    def _record(self, note: Note, spec: model_pb2.ModelSpec, code: grpc.StatusCode, message: str | None) -> None:
        note.model, note.label = spec.name, spec.version_label or None
        note.status, note.error = code.name, message
        assert self._recorder, "it has made the note"
        self._recorder.put(note)


class PredictionService(_Answering, prediction_service_pb2_grpc.PredictionServiceServicer):
    """tensorflow.serving.PredictionService."""

    def __init__(self, models: Models, max_request_bytes: int, recorder: Recorder | None = None) -> None:
        super().__init__(models, recorder)
        self._max_request_bytes = max_request_bytes

    async def Predict(self, request: predict_pb2.PredictRequest, context: Any) -> Any:  # noqa: N802
        """Runs a signature on tensors."""
        note = self._noted("Predict", context)
        return await self._answered("Predict", request.model_spec, self._predict(request, note), context, note)

    async def Classify(self, request: classification_pb2.ClassificationRequest, context: Any) -> Any:  # noqa: N802
        """Classifies examples."""
        note = self._noted("Classify", context)
        return await self._answered("Classify", request.model_spec, self._classify(request, note), context, note)

    async def Regress(self, request: regression_pb2.RegressionRequest, context: Any) -> Any:  # noqa: N802
        """Regresses examples."""
        note = self._noted("Regress", context)
        return await self._answered("Regress", request.model_spec, self._regress(request, note), context, note)

    async def MultiInference(self, request: inference_pb2.MultiInferenceRequest, context: Any) -> Any:  # noqa: N802
        """Classifies and regresses the same examples with several signatures of one model."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        note = self._noted("MultiInference", context)
        return await self._answered("MultiInference", spec, self._multi_inference(request, note), context, note)

    async def GetModelMetadata(  # noqa: N802
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: Any
    ) -> Any:
        """A version's signatures."""
        return await self._answered("GetModelMetadata", request.model_spec, self._metadata(request), context)

    async def _predict(self, request: predict_pb2.PredictRequest, note: Note | None) -> predict_pb2.PredictResponse:
        size = max(request.ByteSize(), tensor_protos.values_in(request.inputs))
        async with self._models.lease(request.model_spec) as version:
            signature = version.signature(request.model_spec.signature_name)
            signature.require_names(request.inputs)
            inputs = await computed(size, _arrays, request, self._max_request_bytes)
            if note:
                recorded.note_inputs(note, version, signature, inputs, size)
            outputs = await version.predict(signature, inputs, request.output_filter)
            answer = predict_pb2.PredictResponse()
            version.name_in(answer.model_spec, signature)
        size = sum(array.nbytes for array in outputs.values())
        if note:
            recorded.note_outputs(note, outputs, size)
        await computed(size, fill_outputs, answer, signature, outputs)
        return answer

    async def _classify(
        self, request: classification_pb2.ClassificationRequest, note: Note | None
    ) -> classification_pb2.ClassificationResponse:
        async with self._models.lease(request.model_spec) as version:
            name, given = request.model_spec.signature_name, examples.serialized(request.input)
            if note:
                recorded.note_examples(note, version, name, given)
            answer = classification_pb2.ClassificationResponse(result=await version.classify(name, given))
            version.name_in(answer.model_spec, version.signature(name))
            if note:
                recorded.note_results(note, answer)
            return answer

    async def _regress(
        self, request: regression_pb2.RegressionRequest, note: Note | None
    ) -> regression_pb2.RegressionResponse:
        async with self._models.lease(request.model_spec) as version:
            name, given = request.model_spec.signature_name, examples.serialized(request.input)
            if note:
                recorded.note_examples(note, version, name, given)
            answer = regression_pb2.RegressionResponse(result=await version.regress(name, given))
            version.name_in(answer.model_spec, version.signature(name))
            if note:
                recorded.note_results(note, answer)
            return answer

    async def _multi_inference(
        self, request: inference_pb2.MultiInferenceRequest, note: Note | None
    ) -> inference_pb2.MultiInferenceResponse:
        _require_one_model(request)
        given = examples.serialized(request.input)
        answer = inference_pb2.MultiInferenceResponse()
        async with self._models.lease(request.tasks[0].model_spec) as version:
            if note:
                recorded.note_examples(note, version, request.tasks[0].model_spec.signature_name, given)
            for task in request.tasks:
                answer.results.append(await _inferred(version, task, given))
        if note:
            recorded.note_results(note, answer)
        return answer

    async def _metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if not request.metadata_field:
            raise _invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise _invalid(f"Metadata field {field} is not supported")
        return self._models.metadata(request.model_spec)


class ModelService(_Answering, model_service_pb2_grpc.ModelServiceServicer):
    """tensorflow.serving.ModelService."""

    def __init__(self, manager: ModelManager) -> None:
        super().__init__(manager.models)
        self._manager = manager

    async def GetModelStatus(  # noqa: N802
        self, request: get_model_status_pb2.GetModelStatusRequest, context: Any
    ) -> Any:
        """The states of a model's versions."""
        return await self._answered("GetModelStatus", request.model_spec, self._status(request), context)

    async def HandleReloadConfigRequest(  # noqa: N802
        self, request: model_management_pb2.ReloadConfigRequest, context: Any
    ) -> Any:
        """Serves other models, versions or labels; returns when they are available."""
        spec = model_pb2.ModelSpec()
        return await self._answered("HandleReloadConfigRequest", spec, self._reload(request), context)

    async def _status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        if not request.HasField("model_spec"):
            raise _invalid("Missing ModelSpec")
        return self._models.status(request.model_spec)

    async def _reload(
        self, request: model_management_pb2.ReloadConfigRequest
    ) -> model_management_pb2.ReloadConfigResponse:
        try:
            settings = model_config.models(request.config, _CONFIG_WHERE)
        except TaxiwayError as error:
            raise _invalid(str(error)) from error
        total = self._models.metrics.total
        before = {name: total(name) for name in request.metric_names}
        await self._manager.reconfigure(settings)
        answer = model_management_pb2.ReloadConfigResponse()
        answer.status.SetInParent()
        for name, count in before.items():
            answer.metric.add(name=name, int64_value_increase=total(name) - count)
        return answer


def _invalid(message: str) -> ServingError:
    return ServingError(_CODE.INVALID_ARGUMENT, message)


def _arrays(request: predict_pb2.PredictRequest, most: int) -> dict[str, Any]:
    """The decoded inputs; shapes filled with a repeated value use at most as much memory as the largest request."""
    try:
        return tensor_protos.from_protos(request.inputs, most)
    except ValueError as error:
        raise _invalid(str(error)) from error


def _require_one_model(request: inference_pb2.MultiInferenceRequest) -> None:
    """TF Serving's rules and messages (multi_inference.cc)."""
    if not request.tasks:
        raise _invalid("Inference request has no tasks")
    seen = set()
    for task in request.tasks:
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise _invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        if task.model_spec.signature_name in seen:
            raise _invalid(f"Duplicate evaluation of signature: {task.model_spec.signature_name}")
        seen.add(task.model_spec.signature_name)
        if task.method_name not in (examples.CLASSIFY, examples.REGRESS):
            raise ServingError(_CODE.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")


async def _inferred(version: ModelVersion, task: inference_pb2.InferenceTask, given: list[bytes]) -> Message:
    name = task.model_spec.signature_name
    result = inference_pb2.InferenceResult()
    if task.method_name == examples.CLASSIFY:
        result.classification_result.CopyFrom(await version.classify(name, given))
    else:
        result.regression_result.CopyFrom(await version.regress(name, given))
    version.name_in(result.model_spec, version.signature(name))
    return result
