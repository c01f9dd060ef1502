"""The taxi model trained again on what it meets in use."""
