"""What a model's version was trained on: built from the training data once, and kept in one file."""
