"""Progressive delivery: a new version gets more and more of the traffic, as long as its guardrails hold."""
