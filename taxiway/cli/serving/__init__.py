"""The commands of model servers and of pushed versions."""
