"""The pages on watched models: time lines, windows, columns and alarms."""
