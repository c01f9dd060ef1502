"""`taxiway doctor`: what a use of Taxiway needs, what of it is there, and what mends the rest."""
