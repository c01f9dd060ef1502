"""Where artifacts come from: runs recorded in ML Metadata, chains read from it or from the artifacts' own files.

Only this package imports ml_metadata. `chain` and `tree` do not need it.
"""
