"""How an alarm is told: its sentence and its picture."""
