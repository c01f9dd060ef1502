"""How a stage is called: the ExecutorInput, the provenance of its outputs, and the location of pushed models."""
