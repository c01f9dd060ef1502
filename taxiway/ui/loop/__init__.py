"""The room of the loop: what triggered a retraining, what came of it, rollouts, and the word of a person."""
