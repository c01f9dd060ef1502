"""Files that are the same bytes whenever they are made from the same: SavedModels, and TensorBoard's logs."""
