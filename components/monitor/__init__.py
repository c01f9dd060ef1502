"""Monitor: one pass over the requests of a served model, compared with what it was trained on."""
