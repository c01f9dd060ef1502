"""Byte-for-byte reproducible files: SavedModels and TensorBoard's logs."""
