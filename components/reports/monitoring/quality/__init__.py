"""The parts about the quality of a watched model's answers."""
