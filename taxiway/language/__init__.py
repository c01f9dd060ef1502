"""The compiled pipeline language: the spec, its placeholders and its conditions."""
