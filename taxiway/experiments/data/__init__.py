"""An experiment's units and their sums: DuckDB over the inference table and the outcomes, in bounded memory."""
