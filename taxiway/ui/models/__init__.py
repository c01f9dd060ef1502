"""The pages on pushed models: the versions of every destination, who serves them, and rollbacks."""
