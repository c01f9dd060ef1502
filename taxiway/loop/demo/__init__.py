"""`make loop-demo`: the whole loop with real trips, in fast motion."""
