"""The Python packages of tasks: those that their code imports, and environments for those that they install."""
