"""Warm-up requests in a SavedModel."""

from __future__ import annotations

from pathlib import Path

from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from components.contract import files
from components.data import tfrecord
from components.execution.pushed_models import WARMUP_FILE
from components.infra_validator.questions import Request

_MOST_RECORDS = 1000
"""TF Serving refuses models with more records."""


def write_warmup(saved_model: Path, requests: list[Request]) -> None:
    """Appends PredictionLogs of the requests to a SavedModel's warm-up requests.

    A model server runs them before it reports the model as AVAILABLE, so that no client has to wait for lazy
    initialization (https://www.tensorflow.org/tfx/serving/saved_model_warmup).
    """
    file = saved_model / WARMUP_FILE
    own = list(tfrecord.read_records(file)) if file.is_file() else []
    # Replace the file instead of writing to it: it may be a hard link to the candidate's.
    file.parent.mkdir(exist_ok=True)
    with files.whole(file) as partial, partial.open("wb") as opened:
        tfrecord.write_records(opened, [*own, *map(_logged, requests)][:_MOST_RECORDS])


def _logged(request: Request) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    part = {
        PredictRequest: log.predict_log,
        ClassificationRequest: log.classify_log,
        RegressionRequest: log.regress_log,
    }
    part[type(request)].request.CopyFrom(request)
    # Equal requests make equal files.
    serialized: bytes = log.SerializeToString(deterministic=True)
    return serialized
