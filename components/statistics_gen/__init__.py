"""Examples become statistics."""
