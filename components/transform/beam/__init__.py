"""TFT on Beam: for what the direct way does not do, and for data that one machine does not hold."""
