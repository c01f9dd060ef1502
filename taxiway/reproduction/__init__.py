"""Making an artifact again from its lineage alone, and comparing what comes out, stage by stage."""
