"""Pushed versions: which are served, and the way back to an earlier one."""
