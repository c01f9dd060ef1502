"""What our servers and clients share: HTTP, gRPC health, certificates."""
