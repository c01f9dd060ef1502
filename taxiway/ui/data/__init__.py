"""The pages on data: the versions that runs read, what was trained on each, and what differs between two."""
