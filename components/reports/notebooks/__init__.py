"""Reports in notebooks: pieces of HTML instead of pages."""
