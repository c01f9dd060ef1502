"""Operations of other libraries than TensorFlow: they have to be in the process before a SavedModel that has some.

A library is a Python module that brings its operations when it is imported, or a `.so` file built against TensorFlow.
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
    """A library that many models have operations of.

    Attributes:
        title: As people call it.
        module: To import.
        package: To install.
        operations: A regular expression of their names.
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
        # Those without a prefix are the older ones, as of 2.21.
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
    """Brings the operations of libraries into this process; one that is there already is passed over.

    Raises:
        UserError: A module or a file is not there, or does not load.
    """
    for library in libraries:
        _load(library)


def missing(error: BaseException | str) -> str:
    """What to say where a SavedModel did not load for want of an operation; empty where that was not the reason."""
    found = re.search(r"Op type not registered '([^']+)'", str(error))
    if not found:
        return ""
    known = next((each for each in _KNOWN if re.fullmatch(each.operations, found[1])), None)
    whose, install = (f" of {known.title}", f"install {known.package} and ") if known else ("", "")
    named = known.module if known else "MODULE or FILE.so"
    return (
        f"the operation {found[1]!r}{whose}, which the model has, is not in this process: {install}name the library, "
        f"`--custom-ops {named}` of the model server, `custom_ops` of the stages infra_validator and evaluator"
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
            f"the library {library!r} of custom operations cannot be imported: {error}",
            fix="install it, or name its .so file",
        ) from error
    except Exception as error:  # what a library raises is its own affair
        raise UserError(
            f"the library {library!r} of custom operations does not load: {error}",
            fix=f"build or install it for TensorFlow {_tensorflow_version()}",
        ) from error


def _load_file(library: str) -> None:
    import tensorflow as tf

    # By its whole path: the loader would look for a bare name in the system's folders.
    tf.load_op_library(str(existing(Path(library)).resolve()))


def _load_module(library: str) -> None:
    if not user_modules.own_source(library):
        importlib.import_module(library)
        return
    # Where a server, or a stage, is started, as for the modules that stages run.
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    user_modules.load_module(library)


def _tensorflow_version() -> str:
    from importlib import metadata

    return metadata.version("tensorflow")
