"""Model servers for a candidate: in a process, a container or a pod."""
