"""Rebuilds an artifact from its lineage alone, and compares the results stage by stage."""
