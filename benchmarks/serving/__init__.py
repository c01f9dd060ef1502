"""`taxiway serve` under load, beside its peers."""
