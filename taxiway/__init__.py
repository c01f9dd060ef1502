"""How pipelines run: the compiled spec, the runners, lineage, data versions and the command line."""
