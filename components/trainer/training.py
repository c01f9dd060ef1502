"""The call of a user's run_fn, and what it must have left behind."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from components import user_modules
from components.errors import UserError
from components.trainer.determinism import deterministic_training, require_seed, set_seeds
from components.trainer.fn_args import FnArgs


@contextmanager
def _all_or_nothing(folders: list[Path]) -> Iterator[None]:
    """Makes the folders anew, and removes them with what is in them where the block raises."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run left would pass for this one's
        folder.mkdir(parents=True)
    try:
        yield
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _devices() -> str:
    """What TensorFlow will train on; a GPU's memory is taken as it is needed, so that stages can share one."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return ", ".join(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus)


def _require_model(saved: Path) -> None:
    if not saved.is_dir() or not any(saved.iterdir()):
        raise UserError(
            f"run_fn saved no model to {saved}",
            mend="end it with tf.saved_model.save(model, fn_args.serving_model_dir, signatures=...)",
        )


def _require_numbers(saved: Path) -> None:
    """A loss that is NaN leaves NaN in every weight that it trained; an infinity may be meant."""
    if not (saved / "variables" / "variables.index").exists():
        return
    reader = tf.train.load_checkpoint(str(saved / "variables" / "variables"))
    types = reader.get_variable_to_dtype_map()
    broken = sorted(name for name, dtype in types.items() if dtype.is_floating and _has_nan(reader.get_tensor(name)))
    if broken:
        raise UserError(
            f"the loss became NaN: {len(broken)} of the trained model's variables hold NaN, {broken[0]!r} among them",
            mend="lower the learning rate, and look for missing or huge values in the features and the label",
        )


def _has_nan(values: np.ndarray) -> bool:
    return bool(np.isnan(np.asarray(values, np.float32)).any())


def train(module: str, fn_args: FnArgs, folders: list[Path], seed: int, deterministic: bool) -> None:
    """Calls the module's `run_fn` and looks at what it saved.

    Args:
        module: The module, by import path or file.
        fn_args: The argument of `run_fn`.
        folders: Made before the call; removed where it fails.
        seed: Of all random numbers.
        deterministic: Whether TensorFlow may run only what gives the same every time.

    Raises:
        UserError: There is no run_fn, it raised, it saved no model, or the model holds NaN; or the seed is none.
    """
    require_seed(seed)
    set_seeds(seed)
    run_fn = user_modules.load(module, "run_fn")
    print(f"run_fn of {module} trains on {_devices() or 'the CPU'}", flush=True)
    started = time.monotonic()
    with _all_or_nothing(folders):
        with deterministic_training(deterministic):
            # Once more: how many numbers an import draws depends on what was imported before.
            set_seeds(seed)
            user_modules.call(run_fn, fn_args)
        saved = Path(fn_args.serving_model_dir)
        _require_model(saved)
        _require_numbers(saved)
    print(f"run_fn took {time.monotonic() - started:.1f} s and saved its model to {saved}", flush=True)
