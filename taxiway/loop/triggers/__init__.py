"""What starts a cycle: an alarm, bad quality, new data, labels, a schedule, a person or another program."""
