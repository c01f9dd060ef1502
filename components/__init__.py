"""The code that runs inside containers: one folder per stage, and what the stages share."""

import os
import sys
from typing import TYPE_CHECKING

from components.user_code import package_names

__version__ = "0.1.0"

# TensorFlow chooses the version of `tf.keras` on first use, and tensorflow-transform selects Keras 2 on import. Without
# this, the version would depend on the order of imports. `import keras` is Keras 3 in any case.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

# A project may have a package with this name too.
package_names.share(sys.modules[__name__])
if not TYPE_CHECKING:
    __getattr__ = package_names.users_attribute
