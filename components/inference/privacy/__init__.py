"""What may not be written as it was sent: columns that are dropped, cut, generalised or replaced by a keyed hash."""
