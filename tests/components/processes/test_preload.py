import os
import subprocess
import sys
from collections.abc import Iterator

from components.execution import stages
from components.processes import preload
from components.processes.preload import Layer

_FORK = """
import importlib, os, sys, warnings
from pathlib import Path
for module in sys.argv[1:]:
    importlib.import_module(module)
warnings.simplefilter("error")  # Python warns of a fork of a process that has threads
if os.fork() == 0:
    os._exit(0)
os.wait()
print(*(task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()))
"""


def modules(layer: Layer) -> Iterator[str]:
    yield from layer.modules
    for below in layer.below:
        yield from modules(below)


def test_a_process_that_forks_stages_has_one_thread_when_it_does() -> None:
    loaded = [*modules(preload.LIGHT), *modules(preload.HEAVY)]
    environment = {**preload.ENVIRONMENT, **os.environ}
    command = [sys.executable, "-c", _FORK, *loaded]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["python"]), done.stderr


def test_every_stage_starts_from_one_layer() -> None:
    served = [*preload.LIGHT.served(), *preload.HEAVY.served()]
    assert sorted(served) == sorted(stages.STAGES)


def test_a_module_written_for_tfx_starts_from_the_layer_that_has_loaded_it() -> None:
    validation, transform = preload.HEAVY.below
    assert transform.serves("transform")
    assert not validation.serves("transform", {"tfx", "tfx.v1"})
    (tfx,) = transform.below
    assert tfx.serves("transform", {"tfx", "tfx.v1"})
    assert not tfx.serves("transform", {"tfx", "tfx.components", "tfx.components.trainer.fn_args_utils"})
