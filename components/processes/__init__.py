"""Child processes: which libraries they start with, and how they end when their parent does."""
