"""TF Serving's public stubs, imported without TensorFlow: a client starts in half a second instead of four.

The stubs import message classes from `tensorflow.core`, and thereby all of TensorFlow, which they do not use. If it is
not loaded yet, an empty package takes its place while the stubs are imported. A later `import tensorflow` gets the real
package; both have the same message classes, because protobuf creates one class per message in a process.
"""

from __future__ import annotations

from components.data.stand_ins import module, stood_in_for

with stood_in_for("tensorflow"):
    classification_pb2 = module("tensorflow_serving.apis.classification_pb2")
    example_pb2 = module("tensorflow.core.example.example_pb2")
    get_model_metadata_pb2 = module("tensorflow_serving.apis.get_model_metadata_pb2")
    get_model_status_pb2 = module("tensorflow_serving.apis.get_model_status_pb2")
    inference_pb2 = module("tensorflow_serving.apis.inference_pb2")
    model_pb2 = module("tensorflow_serving.apis.model_pb2")
    model_server_config_pb2 = module("tensorflow_serving.config.model_server_config_pb2")
    predict_pb2 = module("tensorflow_serving.apis.predict_pb2")
    prediction_log_pb2 = module("tensorflow_serving.apis.prediction_log_pb2")
    prediction_service_pb2_grpc = module("tensorflow_serving.apis.prediction_service_pb2_grpc")
    regression_pb2 = module("tensorflow_serving.apis.regression_pb2")
    tensor_pb2 = module("tensorflow.core.framework.tensor_pb2")
    types_pb2 = module("tensorflow.core.framework.types_pb2")
