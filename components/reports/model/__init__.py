"""The sections about models: each tells of the artifacts of one stage, and of what is missing or damaged in them."""
