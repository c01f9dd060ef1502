"""What is known of both versions: errors and latency, predictions, outcomes."""
