"""The call of a user's run_fn, and the check of what it saved."""

from __future__ import annotations

import glob
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.contract.errors import UserError
from components.trainer.determinism import deterministic_training, require_seed, set_seeds
from components.trainer.fn_args import FnArgs
from components.user_code import user_modules

_NO_RECORD = re.compile("corrupted record|inflate\\(\\)")
"""TensorFlow's message about a file that has no TFRecords."""
_NAME_THE_FORMAT = (
    'the examples are Parquet: set payload_format="tf_example" in ExampleGen, which Transform keeps; or read them '
    "through fn_args.data_accessor"
)


@contextmanager
def _all_or_nothing(folders: list[Path]) -> Iterator[None]:
    """Creates the folders empty, and removes them with their content if the block raises."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)  # else the files of a killed run would pass for this one's
        folder.mkdir(parents=True)
    try:
        yield
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _devices() -> str:
    """The devices that TensorFlow trains on. GPU memory is allocated as needed, so that stages can share a GPU."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return ", ".join(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus)


@contextmanager
def _explaining_records(fn_args: FnArgs) -> Iterator[None]:
    """Explains the fix if a module opens Parquet files as TFRecords."""
    try:
        yield
    except UserError as error:
        if _NO_RECORD.search(str(error.__cause__)) and isinstance(error.__cause__, tf.errors.DataLossError):
            files = [file for pattern in fn_args.train_files + fn_args.eval_files for file in glob.glob(pattern)]
            if any(file.endswith(".parquet") for file in files):
                raise UserError(error.what, fix=_NAME_THE_FORMAT) from error
        raise


def _refuse_keras_alone(saved: Path) -> None:
    """Refuses a model that only Keras can read: the later stages and the server cannot."""
    files = sorted(file for file in saved.parent.rglob("*") if file.is_file())
    only_weights = all(file.suffix in (".h5", ".hdf5") for file in files)
    keras = files if only_weights else [file for file in files if file.suffix == ".keras"]
    if keras and not any((saved / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise UserError(
            f"run_fn saved {keras[0]}, a Keras file, but no SavedModel, which evaluation, pushing and serving need",
            fix="end it with model.export(fn_args.serving_model_dir); the Keras file may stay beside it",
        )


def _require_model(saved: Path) -> None:
    _refuse_keras_alone(saved)
    if not saved.is_dir() or not any(saved.iterdir()):
        raise UserError(
            f"run_fn saved no model to {saved}",
            fix="end it with tf.saved_model.save(model, fn_args.serving_model_dir, signatures=...)",
        )


def _require_numbers(saved: Path) -> None:
    """Refuses NaN, which a NaN loss leaves in every trained weight; infinities may be intended."""
    if not (saved / "variables" / "variables.index").exists():
        return
    reader = tf.train.load_checkpoint(str(saved / "variables" / "variables"))
    types = reader.get_variable_to_dtype_map()
    broken = sorted(name for name, dtype in types.items() if dtype.is_floating and _has_nan(reader.get_tensor(name)))
    if broken:
        raise UserError(
            f"the loss became NaN: {len(broken)} of the trained model's variables hold NaN, {broken[0]!r} among them",
            fix="lower the learning rate, and look for missing or huge values in the features and the label",
        )


def _has_nan(values: np.ndarray) -> bool:
    return bool(np.isnan(np.asarray(values, np.float32)).any())


def train(module: str, fn_args: FnArgs, folders: list[Path], seed: int, deterministic: bool) -> None:
    """Calls the module's `run_fn` and looks at what it saved.

    Args:
        module: The module, by import path or file.
        fn_args: The argument of `run_fn`.
        folders: Created before the call; removed if it fails.
        seed: The seed of all random numbers.
        deterministic: Whether TensorFlow may run deterministic ops only.

    Raises:
        UserError: There is no run_fn, it raised, it saved no model, or the model contains NaN; or the seed is invalid.
    """
    require_seed(seed)
    set_seeds(seed)
    run_fn = user_modules.load(module, "run_fn")
    print(f"run_fn of {module} trains on {_devices() or 'the CPU'}", flush=True)
    started = time.monotonic()
    with _all_or_nothing(folders):
        with deterministic_training(deterministic), _explaining_records(fn_args):
            # Again, because the number of random numbers that an import draws depends on earlier imports.
            set_seeds(seed)
            user_modules.call(run_fn, fn_args)
        saved = Path(fn_args.serving_model_dir)
        _require_model(saved)
        _require_numbers(saved)
    print(f"run_fn took {time.monotonic() - started:.1f} s and saved its model to {saved}", flush=True)
