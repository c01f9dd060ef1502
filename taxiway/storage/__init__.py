"""Where runs, artifacts and digests are kept on this machine."""
