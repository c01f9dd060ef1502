"""How a stage is called: the ExecutorInput, the provenance of its outputs, and where pushed models lie."""
