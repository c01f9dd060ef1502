"""`taxiway ui`: pages on the runs, models and data of this machine, from one server on the files that exist."""
