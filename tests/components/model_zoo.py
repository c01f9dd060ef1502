"""All kinds of models that a run_fn may save, for tests that rewrite their files.

Run as a script, `model_zoo.py FOLDER MADE_BEFORE`, it saves all of them, after creating MADE_BEFORE other functions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras


def keras_2(folder: str) -> None:
    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Dense(3), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.linspace(0, 1, 32, dtype="float32").reshape(16, 2)
    model.fit(x, x[:, :1], batch_size=8, verbose=0)
    tf.saved_model.save(model, folder)


def keras_2_recurrent(folder: str) -> None:
    layers = tf_keras.layers
    tf_keras.Sequential([layers.Input((3, 2)), layers.LSTM(3), layers.Dense(1)]).save(folder, save_format="tf")


def keras_2_export(folder: str) -> None:
    layers = tf_keras.layers
    tf_keras.Sequential([layers.Input((3, 2)), layers.SimpleRNN(3), layers.Dense(2), layers.Dense(1)]).export(folder)


def keras_2_words(folder: str) -> None:
    layers = tf_keras.layers
    word = layers.Input((1,), dtype="string")
    numbers = layers.StringLookup(vocabulary=["a", "b"])(word)
    known = layers.Flatten()(layers.Embedding(4, 2)(numbers))
    adapted = layers.TextVectorization(output_sequence_length=2)
    adapted.adapt(np.array(["a b", "b"]))
    seen = layers.Flatten()(layers.Embedding(9, 2)(adapted(word)))
    model = tf_keras.Model(word, layers.Dense(1)(layers.Concatenate()([known, seen])))
    tf.saved_model.save(model, folder)


def keras_2_attention(folder: str) -> None:
    """A model whose inner functions have inputs named `value`, like an attribute of every constant."""
    layers = tf_keras.layers
    series = layers.Input((3, 4))
    attended = layers.LayerNormalization()(layers.MultiHeadAttention(2, 2)(series, series))
    tf.saved_model.save(tf_keras.Model(series, layers.Dense(1)(layers.Flatten()(attended))), folder)


def keras_3_export(folder: str) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((3, 2)), layers.GRU(3), layers.Dropout(0.5), layers.Dense(2), layers.Dense(1)]
    )
    model.export(folder, verbose=False)


def module(folder: str) -> None:
    vocabulary = Path(f"{folder}.source/words")
    vocabulary.parent.mkdir()
    vocabulary.write_text("a\nb\n")
    served = _Module(str(vocabulary))
    tf.saved_model.save(served, folder, signatures=served.answer)


class _Module(tf.Module):
    def __init__(self, vocabulary: str) -> None:
        super().__init__()
        kinds = tf.lookup.TextFileIndex
        pairs = tf.lookup.TextFileInitializer(vocabulary, tf.string, kinds.WHOLE_LINE, tf.int64, kinds.LINE_NUMBER)
        self.words = tf.lookup.StaticVocabularyTable(pairs, 2)
        self.counts = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
        self.counts.insert(tf.constant(["a"]), tf.constant([4], tf.int64))
        self.weight, self.state = tf.Variable(2.0), tf.random.Generator.from_seed(1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([None], tf.string, "word")])
    def answer(self, x: Any, word: Any) -> Any:
        for _ in tf.range(3):
            x += self.weight
        if tf.reduce_sum(x) > 1.0:
            x = _doubled(x)
        for number in tf.data.Dataset.range(3).map(lambda each: each * 2):
            x += tf.cast(number, tf.float32)
        scanned = tf.scan(lambda before, each: before + each * self.weight, x)
        return {
            "x": scanned + tf.gradients(_doubled(x), x)[0],
            "word": self.words.lookup(word) + self.counts.lookup(word),
        }


@tf.custom_gradient
def _doubled(x: Any) -> Any:
    return 2 * x, lambda upstream: 2 * upstream


def tensorflow_1(folder: str) -> None:
    vocabulary = Path(f"{folder}.source/words")
    vocabulary.parent.mkdir()
    vocabulary.write_text("a\nb\n")
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        kinds = tf.lookup.TextFileIndex
        path = tf.constant(str(vocabulary), name="words")
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
        pairs = tf.lookup.TextFileInitializer(path, tf.string, kinds.WHOLE_LINE, tf.int64, kinds.LINE_NUMBER)
        word = v1.placeholder(tf.string, [None], "word")
        weight = v1.get_variable("weight", initializer=2.0, use_resource=False)
        answer = tf.cast(tf.lookup.StaticHashTable(pairs, -1).lookup(word), tf.float32) * weight
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(folder)
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": v1.saved_model.predict_signature_def({"word": word}, {"answer": answer})},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save()


KINDS: dict[str, Callable[[str], None]] = {
    kind.__name__: kind
    for kind in (
        keras_2,
        keras_2_recurrent,
        keras_2_export,
        keras_2_words,
        keras_2_attention,
        keras_3_export,
        module,
        tensorflow_1,
    )
}


def save_all(folder: Path) -> None:
    from components.trainer.determinism import deterministic_training, set_seeds

    with deterministic_training(True):
        for name, save in KINDS.items():
            set_seeds(0)
            for library in (keras, tf_keras):
                library.backend.clear_session()
            save(str(folder / name))


if __name__ == "__main__":
    for _number in range(int(sys.argv[2])):
        tf.function(lambda x: x + 1)(tf.constant(_number))
    save_all(Path(sys.argv[1]))
