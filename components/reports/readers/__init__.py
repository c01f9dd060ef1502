"""What artifacts hold, as plain values to draw: read from their files, without TensorFlow."""
