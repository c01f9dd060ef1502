"""What the columns of a set of rows look like: summaries in the bins of the training data, and the profile's rows."""
