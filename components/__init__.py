"""What runs inside a container: one folder a stage, and the contract they share."""

import os
import sys
from typing import TYPE_CHECKING

from components.user_code import package_names

__version__ = "0.1.0"

# What `tf.keras` is, TensorFlow settles when it is first used, and tensorflow-transform asks for Keras 2 when it is
# imported: without this the order of imports would decide. `import keras` is Keras 3 in any case.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

# A project may have a package of this name too.
package_names.share(sys.modules[__name__])
if not TYPE_CHECKING:
    __getattr__ = package_names.users_attribute
