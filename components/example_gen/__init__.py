"""Raw files become Examples."""
