"""Forgets a customer, or what is old: in a model's tables, in request logs and in spans, with a record of it."""
