"""The protos in results of evaluations, event files and SavedModels, without TensorFlow, TFMA and Beam."""

from __future__ import annotations

# TFMA's generated code leaves its imports out: each file has to come after those that it uses.
from google.protobuf import wrappers_pb2 as wrappers_pb2

from components.data.stand_ins import module, stood_in_for

with stood_in_for("tensorflow", "tensorflow_model_analysis"):
    config_pb2 = module("tensorflow_model_analysis.proto.config_pb2")
    metrics_for_slice_pb2 = module("tensorflow_model_analysis.proto.metrics_for_slice_pb2")
    validation_result_pb2 = module("tensorflow_model_analysis.proto.validation_result_pb2")
    event_pb2 = module("tensorflow.core.util.event_pb2")
    saved_model_pb2 = module("tensorflow.core.protobuf.saved_model_pb2")
    types_pb2 = module("tensorflow.core.framework.types_pb2")
