"""Fuses neighbouring stages of a compiled pipeline into one task, which saves pods and drivers.

`fuse.fused` fuses a pipeline, and `members.unfused` splits it again. `components.fused` runs in the container.
"""
