"""A proxy of TF Serving's API that splits a model's traffic between labels or servers."""
