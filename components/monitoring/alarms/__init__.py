"""The alarms: which of what was found in a window is worth telling, in which words, and whether it was told before."""
