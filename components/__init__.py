"""What runs inside a container: one folder a stage, and the contract they share."""

__version__ = "0.1.0"
