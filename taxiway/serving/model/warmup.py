"""Warm-up requests, run before a model is served (https://www.tensorflow.org/tfx/serving/saved_model_warmup)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from components.contract.errors import DataError
from components.data import tensor_protos, tfrecord
from components.execution.pushed_models import WARMUP_FILE
from taxiway.serving import examples
from taxiway.serving.errors import ServingError
from taxiway.serving.model.saved_model import SavedModel
from taxiway.serving.model.signatures import Arrays

MAX_RECORDS = 1000
"""TF Serving refuses to load a model with more."""


def warm_up(model: SavedModel, folder: Path) -> int:
    """Runs the warm-up requests in a model's folder, whatever model they name; returns their number.

    Raises:
        ServingError: The file is corrupt, or a request fails. TF Serving does not load the model then, either.
    """
    file = folder / WARMUP_FILE
    if not file.is_file():
        return 0
    count = 0
    try:
        for data in tfrecord.read_records(file):
            if count == MAX_RECORDS:
                raise ServingError(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}",
                )
            count += 1
            for name, inputs in _requests(prediction_log_pb2.PredictionLog.FromString(data)):
                signature = model.signature(name)
                model.run(signature, signature.completed(inputs))
    except (DataError, DecodeError, ValueError) as error:
        raise ServingError(
            grpc.StatusCode.DATA_LOSS, f"Failed to read warmup record {count} of {file}: {error}"
        ) from error
    except ServingError as error:
        raise ServingError(error.code, f"Failed to warm up with record {count} of {file}: {error.message}") from error
    return count


def _requests(log: prediction_log_pb2.PredictionLog) -> Iterator[tuple[str, Arrays]]:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        request = log.predict_log.request
        yield (
            request.model_spec.signature_name,
            {name: tensor_protos.from_proto(proto) for name, proto in request.inputs.items()},
        )
    elif kind in ("classify_log", "regress_log"):
        request = getattr(log, kind).request
        yield request.model_spec.signature_name, examples.inputs(examples.serialized(request.input))
    elif kind == "multi_inference_log":
        request = log.multi_inference_log.request
        for task in request.tasks:
            yield task.model_spec.signature_name, examples.inputs(examples.serialized(request.input))
    elif kind != "session_run_log":
        raise ValueError("it is not a PredictionLog")
