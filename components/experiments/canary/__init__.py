"""Sequential tests of a canary against its champion: shares of requests, distributions, and means by time."""
