"""Child processes: which libraries they start with, and how they end with their parent."""
