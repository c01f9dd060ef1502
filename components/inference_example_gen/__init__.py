"""Examples from the recorded requests of a served model and their labels."""
