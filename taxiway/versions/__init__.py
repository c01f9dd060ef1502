"""Pushed versions: listing them, and rolling back to an earlier one."""
