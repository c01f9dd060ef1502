"""The model server: TF Serving's gRPC and REST APIs for SavedModels."""
