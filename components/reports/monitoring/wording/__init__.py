"""Words for columns, states, measures and times."""
