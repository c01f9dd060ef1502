"""An upper bound: a gRPC server with TF Serving's stubs that returns one constant PredictResponse.

python -m benchmarks.serving.constant RESPONSE_FILE ADDRESS_FILE
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc

from components.data.serving_stubs import predict_pb2, prediction_service_pb2_grpc


class _Constant(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    def __init__(self, response: Any) -> None:
        self._response = response

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 (the stubs' name)
        """The constant response."""
        return self._response


async def main(response: Path, address: Path) -> None:
    """Serves until it is terminated."""
    server = grpc.aio.server()
    constant = _Constant(predict_pb2.PredictResponse.FromString(response.read_bytes()))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(constant, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    partial = address.with_suffix(".partial")
    partial.write_text(f"127.0.0.1:{port}\n\n")
    partial.rename(address)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
