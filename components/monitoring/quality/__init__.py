"""How good the answers were: by labels, with the evaluator's own code, and by estimates before labels are there."""
