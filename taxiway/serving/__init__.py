"""The local model server: the API of TF Serving, gRPC and REST, over SavedModels."""
