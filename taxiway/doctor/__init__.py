"""`taxiway doctor`: checks what Taxiway needs, and says how to fix what is missing."""
