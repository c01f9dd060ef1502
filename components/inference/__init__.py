"""The inference table: what a server was asked and answered, as a Delta table that DuckDB, Spark and pandas read."""
