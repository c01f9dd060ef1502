"""The monitor's alarms, compared with those of its peers."""
