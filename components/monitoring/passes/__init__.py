"""One pass of the monitor: the windows with new rows, each computed from all its rows and written to the tables."""
