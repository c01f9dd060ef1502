"""The gRPC side of the model server."""
