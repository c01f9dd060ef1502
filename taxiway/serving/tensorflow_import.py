"""Imports TensorFlow without its log lines about its build and missing GPUs."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def import_quietly() -> None:
    """Imports TensorFlow and lists the GPUs, without what its libraries print meanwhile.

    They write to standard error before they read their log settings. Later errors, and log lines about existing GPUs,
    are still shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with _kept_unless_it_fails():
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")


@contextmanager
def _kept_unless_it_fails() -> Iterator[None]:
    """Captures standard error, also that of C++ code, and prints it only if the block raises."""
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
