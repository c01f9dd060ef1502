"""Neighbouring stages of a compiled pipeline in one task: fewer pods, fewer drivers.

`fuse.fused` makes such a pipeline, `members.unfused` shows it as it was. What runs in the container is
`components.fused`.
"""
