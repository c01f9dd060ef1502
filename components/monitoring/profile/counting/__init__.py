"""Counts the values of one column in constant memory."""
