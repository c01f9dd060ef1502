"""`taxiway doctor`: what a use of Taxiway needs, what of it is there, and how to fix the rest."""
