"""Loads custom operations: a process must register them before it loads a SavedModel that uses them.

A library is a Python module that registers its operations on import, or a `.so` file built against TensorFlow.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.contract.errors import UserError
from components.user_code import user_modules
from components.user_code.custom_ops import existing, is_file


@dataclass(frozen=True)
class _Library:
    """A common library of operations.

    Attributes:
        title: The library's usual name.
        module: The module to import.
        package: The package to install.
        operations: A regular expression for the operations' names.
    """

    title: str
    module: str
    package: str
    operations: str


_KNOWN = (
    _Library(
        "TensorFlow Text",
        "tensorflow_text",
        "tensorflow-text",
        # The older operations have no prefix; as of 2.21.
        r"TFText>.*|CaseFoldUTF8|ConstrainedSequence|FastBertNormalize|FastWordpieceTokenizeWithOffsets"
        r"|FindSourceOffsets|MaxSpanningTree|NormalizeUTF8(WithOffsetsMap)?|PhraseTokenize|RegexSplitWithOffsets|RougeL"
        r"|SentenceFragments(V2)?|Sentencepiece\w*Op|SplitMergeTokenizeWithOffsets|TokenizerFromLogits"
        r"|UnicodeScriptTokenizeWithOffsets|W(hitespace|ordpiece)TokenizeWithOffsets",
    ),
    _Library("TensorFlow I/O", "tensorflow_io", "tensorflow-io", r"IO>.*"),
    _Library(
        "TensorFlow Decision Forests", "tensorflow_decision_forests", "tensorflow-decision-forests", r"SimpleML\w+"
    ),
    _Library(
        "Struct2Tensor",
        "struct2tensor",
        "struct2tensor",
        r"DecodeProtoSparseV\d|DecodeProtoMap(V\d)?|EquiJoin(Any)?Indices|RunLengthBefore|ParquetDataset",
    ),
    _Library("TensorFlow Addons", "tensorflow_addons", "tensorflow-addons", r"Addons>.*"),
    _Library("ScaNN", "scann", "scann", r"Scann>.*"),
)


def load(libraries: Sequence[str]) -> None:
    """Registers the operations of libraries in this process; each library is loaded once.

    Raises:
        UserError: A module or file does not exist, or cannot be loaded.
    """
    for library in libraries:
        _load(library)


def missing(error: BaseException | str) -> str:
    """A message for a SavedModel that failed to load because of a missing operation; empty for any other reason."""
    found = re.search(r"Op type not registered '([^']+)'", str(error))
    if not found:
        return ""
    known = next((each for each in _KNOWN if re.fullmatch(each.operations, found[1])), None)
    whose, install = (f" of {known.title}", f"install {known.package} and ") if known else ("", "")
    named = known.module if known else "MODULE or FILE.so"
    return (
        f"the model needs the operation {found[1]!r}{whose}, which is not loaded: {install}name the library "
        f"with `--custom-ops {named}` of the model server, or `custom_ops` of infra_validator and evaluator"
    )


@functools.cache
def _load(library: str) -> None:
    try:
        if is_file(library):
            _load_file(library)
        else:
            _load_module(library)
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise UserError(
            f"the custom operations in {library!r} cannot be imported: {error}",
            fix="install the library, or name its .so file",
        ) from error
    except Exception as error:  # a library may raise anything
        raise UserError(
            f"the custom operations in {library!r} cannot be loaded: {error}",
            fix=f"build or install the library for TensorFlow {_tensorflow_version()}",
        ) from error


def _load_file(library: str) -> None:
    import tensorflow as tf

    # The full path: the loader would search the system's folders for a bare name.
    tf.load_op_library(str(existing(Path(library)).resolve()))


def _load_module(library: str) -> None:
    if not user_modules.own_source(library):
        importlib.import_module(library)
        return
    # The working folder of the server or stage, as for the modules that stages run.
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    user_modules.load_module(library)


def _tensorflow_version() -> str:
    from importlib import metadata

    return metadata.version("tensorflow")
