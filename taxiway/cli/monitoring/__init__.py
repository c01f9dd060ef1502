"""The commands for watching served models."""
