"""Whether an experiment can be believed: assignment, A/A runs, slices that contradict the whole, sampled logs."""
