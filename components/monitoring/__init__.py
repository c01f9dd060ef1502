"""Watches a served model: windows of an inference table, their profile, drift and quality, and the alarms."""
