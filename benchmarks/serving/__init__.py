"""`taxiway serve` under load, compared with its peers."""
