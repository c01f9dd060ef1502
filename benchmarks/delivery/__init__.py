"""Canary decisions measured end to end: false alarms, misses, and seconds to the champion."""
