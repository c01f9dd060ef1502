"""The Python packages of tasks: which their code imports, and environments for those that they install."""
