"""Loads libraries, waits until a file says what to run, and runs that: `python -m components.ahead FILE MODULE...`.

So a container has loaded what its stage needs when the stage's inputs are there. The file is JSON: `arguments`, as for
`python -m components`, and the `environment` variables that are not known before.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from components import __main__
from components.processes import preload

_PAUSE = 0.02


def main(file: Path, modules: list[str]) -> int:
    """Returns the exit status of what the file says."""
    os.environ.update(preload.ENVIRONMENT)
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:
            # The stage that needs it says so itself.
            traceback.print_exc()
    while not file.exists():
        time.sleep(_PAUSE)
    document = json.loads(file.read_text())
    os.environ.update(document["environment"])
    # The libraries may have used and cached it already.
    tempfile.tempdir = None
    return __main__.main(document["arguments"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
