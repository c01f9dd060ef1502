"""Imports TensorFlow without its own log lines: about its build, and about GPUs that are not there."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def import_quietly() -> None:
    """Imports TensorFlow, and looks for GPUs, without what its libraries print then.

    They write to standard error before they read any of their settings. What they log about GPUs that are there, and
    all later errors, is still shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with _kept_unless_it_fails():
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")


@contextmanager
def _kept_unless_it_fails() -> Iterator[None]:
    """Keeps what is written to standard error, by libraries too, and shows it where the block raises."""
    shown = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(shown, kept.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
