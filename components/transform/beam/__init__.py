"""TFT on Beam: for what the direct engine does not support, and for data too large for one machine."""
