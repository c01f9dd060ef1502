import os
import subprocess
import sys
from collections.abc import Iterator

from components.contract.declaration import Libraries, Stage
from components.execution import stages
from components.processes import preload
from components.processes.preload import Layer

_FORK = """
import importlib, os, sys, warnings
from pathlib import Path
for module in sys.argv[1:]:
    importlib.import_module(module)
warnings.simplefilter("error")  # Python warns when a process with threads forks
if os.fork() == 0:
    os._exit(0)
os.wait()
print(*(task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()))
"""

TREES = preload.trees(stages.in_order())


def layers(layer: Layer) -> Iterator[Layer]:
    yield layer
    for below in layer.below:
        yield from layers(below)


def layer_of(stage: str) -> Layer:
    [found] = (layer for tree in TREES.values() for layer in layers(tree) if stage in layer.stages)
    return found


def test_a_process_has_one_thread_when_it_forks_a_stage() -> None:
    loaded = [module for tree in TREES.values() for layer in layers(tree) for module in layer.libraries.modules]
    environment = {**preload.ENVIRONMENT, **os.environ}
    command = [sys.executable, "-c", _FORK, *loaded]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert len(loaded) > 10
    assert (result.returncode, result.stdout.split()) == (0, ["python"]), result.stderr


def test_every_stage_is_forked_from_one_layer_with_its_declared_libraries() -> None:
    names = list(stages.names())
    assert len(names) >= 10
    for name in names:
        stage = stages.load(name)
        assert layer_of(name).libraries == (stage.loads[-1] if stage.loads else Libraries(()))
        assert TREES[preload.tree(stage)].serves(name)


def test_slow_libraries_are_loaded_by_a_separate_process() -> None:
    assert list(TREES) == [preload.LIGHT, "tensorflow"]
    light, heavy = TREES.values()
    assert (light.libraries.modules, heavy.libraries.modules) == ((), ("tensorflow",))
    assert light.stages == ("baseline", "pusher")
    assert not heavy.serves("pusher")
    assert not light.serves("trainer")


def test_layers_branch_where_stages_need_different_libraries() -> None:
    one, two, three = Libraries(("one",), is_separate=True), Libraries(("two",)), Libraries(("three",))

    def first() -> None: ...
    def second() -> None: ...
    def third() -> None: ...

    declared = [
        Stage(function=first, image="train", loads=(one, two)),
        Stage(function=second, image="train", loads=(one,)),
        Stage(function=third, image="train", loads=(one, three)),
    ]
    below = (Layer(two, ("first",)), Layer(three, ("third",)))
    assert preload.trees(declared) == {"one": Layer(one, ("second",), below)}


def test_a_module_that_imports_tfx_is_forked_from_the_layer_with_tfx() -> None:
    validation, transform = TREES["tensorflow"].below
    assert transform.serves("transform")
    assert not validation.serves("transform", {"tfx", "tfx.v1"})
    (tfx,) = transform.below
    assert tfx.serves("transform", {"tfx", "tfx.v1"})
    assert not tfx.serves("transform", {"tfx", "tfx.components", "tfx.components.trainer.fn_args_utils"})
