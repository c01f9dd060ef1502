"""Where artifacts come from: runs recorded in ML Metadata, chains read from it or from the artifacts' own files.

Nothing else in Taxiway imports ml_metadata. `chain` and `render` do without it.
"""
