"""The closed loop: watches for triggers, retrains, and delivers what was judged better."""
