"""A KServe Python model server on a SavedModel whose signature takes serialized tf.Examples.

    PYTHON serving_kserve.py serve VERSION_FOLDER NAME GRPC_PORT REST_PORT
    PYTHON serving_kserve.py requests NAME BATCHES OUTPUT

Runs in an environment with kserve and without Taxiway. `requests` writes a pickled list of serialized
ModelInferRequests, one per batch in a pickled list of lists of serialized tf.Examples.
"""

import base64
import logging
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _serve(folder: str, name: str, grpc_port: str, rest_port: str) -> None:
    import kserve  # type: ignore[import-not-found]
    import tensorflow as tf

    class Predictor(kserve.Model):
        def load(self) -> bool:
            self.signature = tf.saved_model.load(folder).signatures["serving_default"]
            self.ready = True
            return self.ready

        def predict(self, payload: Any, headers: Any = None) -> Any:
            if isinstance(payload, kserve.InferRequest):
                probability = self._probability(list(payload.inputs[0].data))
                output = kserve.InferOutput(
                    "probability", list(probability.shape), "FP32", probability.ravel().tolist()
                )
                return kserve.InferResponse(payload.id, self.name, [output], from_grpc=payload.from_grpc)
            examples = [base64.b64decode(instance["b64"]) for instance in payload["instances"]]
            return {"predictions": self._probability(examples).tolist()}

        def _probability(self, examples: list[bytes]) -> Any:
            return self.signature(examples=tf.constant(examples))["probability"].numpy()

    predictor = Predictor(name)
    predictor.load()
    server = kserve.ModelServer(http_port=int(rest_port), grpc_port=int(grpc_port), enable_latency_logging=False)
    logging.disable(logging.INFO)  # KServe logs every request, Taxiway does not
    server.start([predictor])


def _write_requests(name: str, batches: str, output: str) -> None:
    from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest  # type: ignore[import-not-found]

    written = []
    for batch in pickle.loads(Path(batches).read_bytes()):
        request = ModelInferRequest(model_name=name)
        given = request.inputs.add(name="examples", datatype="BYTES", shape=[len(batch)])
        given.contents.bytes_contents.extend(batch)
        written.append(request.SerializeToString())
    Path(output).write_bytes(pickle.dumps(written))


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"serve": _serve, "requests": _write_requests}
    commands[sys.argv[1]](*sys.argv[2:])
