"""Quality before labels are there: from what the scores were worth on rows that have labels."""
