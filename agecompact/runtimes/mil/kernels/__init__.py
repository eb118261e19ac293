"""Kernels of the ops, one module per family. Importing this package registers them all.

Each follows MIL's documentation of its op, the docstrings in `coremltools.converters.mil`, and not
the PyTorch op of the same name. Tensors are float32, int64 or bool.
"""

from __future__ import annotations

import pkgutil

from agecompact.imports import resolve

for _module in pkgutil.iter_modules(__path__):
    resolve(f"{__name__}.{_module.name}")
