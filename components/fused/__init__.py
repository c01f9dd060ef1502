"""Several stages in one container, one after another: see `taxiway.fusion`, which compiles pipelines to that."""
