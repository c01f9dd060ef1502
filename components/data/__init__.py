"""Examples, tensors and logs as files: TFX's layouts, read and written in columns."""
