"""Shared by our servers and clients: HTTP, TLS, gRPC health, Kubernetes."""
