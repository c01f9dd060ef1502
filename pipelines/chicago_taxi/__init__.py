"""Will the passenger tip? The Chicago taxi trips, after TFX's example."""
