"""Model servers on a candidate: in a process, in a container, in a pod."""
