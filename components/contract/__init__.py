"""The contract that all stages share: artifacts, signatures, declarations, digests and errors."""
