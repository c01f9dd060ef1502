"""The REST API of the model server."""
