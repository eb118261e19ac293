"""A pytest plugin that makes coremltools' tests predict on the reference runtime.

On other platforms than macOS these tests only convert and compare nothing. Here `MLModel.predict`
saves the package and runs it, and the checks for macOS succeed, so that the tests compare the
kernels with the expected outputs that Apple wrote into them.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agecompact.runtimes import mil
from agecompact.runtimes.base import Array, Port
from tests.mil_conformance import explanations

# The newest version that any test requires.
_MACOS = (26, 0)

# This test times coremltools itself, and fails on a busy machine.
_EXCLUDED = ("test_efficient_type_inference",)

# The tests allow 0.5 for float16 programs, which hides almost any error, and the 1e-4 of float32
# for programs of mixed types, which is less than a float16 step.
_FLOAT16_TOLERANCE = 1e-2


class Conformance:
    """The plugin, for one run.

    Args:
        per_test: Number of parameter sets to draw from each test; the draw is always the same.
        whole: Whether every suite runs, so that an explanation that nothing needed is an error.
    """

    def __init__(self, *, per_test: int, whole: bool) -> None:
        self._per_test = per_test
        self._whole = whole
        self._ledger = explanations.read()
        self._predicted: set[str] = set()
        self._unexplained: list[tuple[str, str]] = []
        self._current = ""
        self.stale = 0

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Draws parameter sets of each test: all 12,000 of them take hours."""
        groups: dict[str, list[pytest.Item]] = {}
        for item in items:
            if getattr(item, "originalname", "") in _EXCLUDED:
                continue
            groups.setdefault(item.nodeid.partition("[")[0], []).append(item)
        drawn: set[pytest.Item] = set()
        for name, group in groups.items():
            chosen = random.Random(name.rpartition("/")[2])
            drawn.update(chosen.sample(group, min(self._per_test, len(group))))
        left = [item for item in items if item not in drawn]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item in drawn]

    def predict(self, model: Any, data: Mapping[str, Any], state: Any = None) -> dict[str, Array]:
        """Replaces `MLModel.predict`."""
        if state is not None:
            raise NotImplementedError("the reference runtime does not run stateful models")
        self._predicted.add(self._current)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "model.mlpackage")
            model.save(path)
            session = mil.MIL.open_session(path, threads=1)
            ports = session.interface().inputs
            return session.infer({name: _fit(data[name], ports[name]) for name in data})

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Seeds every test, so that its random numbers do not depend on the tests before it."""
        import torch

        self._current = _short(item.nodeid)
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        """Marks explained failures, and fails explained tests that pass."""
        outcome: Any = yield
        report = outcome.get_result()
        test = _short(item.nodeid)
        if report.failed:
            reason = self._ledger.explain(test, report.longreprtext)
            if reason:
                report.outcome, report.wasxfail = "skipped", reason
            else:
                errors = [x[1:].strip() for x in report.longreprtext.splitlines() if x[:2] == "E "]
                self._unexplained.append((test, " | ".join(errors[:4])))
        elif report.when == "call" and report.passed and (why := self._ledger.should_fail(test)):
            report.outcome = "failed"
            report.longrepr = f"it passes, but explained.toml says: {why}"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Counts the tests by result, and lists unused explanations."""
        line = terminalreporter.write_line
        stats = terminalreporter.stats
        passed = {_short(report.nodeid) for report in stats.get("passed", [])}
        line(f"ran on the reference runtime and passed: {len(passed & self._predicted)}")
        line(f"passed without a prediction: {len(passed - self._predicted)}")
        for test, error in self._unexplained:
            line(f"unexplained: {test}: {error}")
        for reason, count in self._ledger.by_reason().most_common():
            line(f"explained: {count:5} {reason}")
        if self._whole:
            for explanation in self._ledger.unused():
                self.stale += 1
                line(f"not needed: {explanation.ids} {explanation.error}")


def _short(node_id: str) -> str:
    """`iOS14/test_pool.py::...`, without the path of coremltools."""
    path, sep, rest = node_id.partition("::")
    return "/".join(path.split("/")[-2:]) + sep + rest


def _fit(value: Any, port: Port) -> Array:
    """A value in its declared type; the tests pass float32 for every type."""
    if isinstance(value, Image.Image):
        return np.asarray(value.convert("RGB"))[np.newaxis]
    array = np.asarray(value).astype(port.dtype)
    return array.reshape(()) if port.shape == () and array.size == 1 else array


def _declares_float16(model: Any) -> bool:
    from coremltools.proto import MIL_pb2

    main = model.get_spec().mlProgram.functions["main"]
    types = [
        output.type
        for op in main.block_specializations[main.opset].operations
        for output in op.outputs
    ]
    types += [value.type for value in main.inputs]
    return any(type_.tensorType.dataType == MIL_pb2.FLOAT16 for type_ in types)


@contextlib.contextmanager
def redirected(plugin: Conformance) -> Iterator[None]:
    """Makes coremltools behave as on macOS inside the block."""
    os.environ.setdefault("PYMIL_TEST_TARGETS", "mlprogram")
    os.environ.setdefault("INCLUDE_MIL_FP32_UNIT_TESTS", "1")
    import coremltools as ct
    from coremltools.models import utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_macos_version", lambda: _MACOS)
        from coremltools.converters.mil import testing_utils

        compare = testing_utils.compare_backend

        def compare_tightly(mlmodel: Any, *arguments: Any, **named: Any) -> Any:
            tolerances = {"atol": named.pop("atol", 1e-4), "rtol": named.pop("rtol", 1e-5)}
            if _declares_float16(mlmodel):
                tolerances = {name: max(_FLOAT16_TOLERANCE, x) for name, x in tolerances.items()}
            named["dtype"] = "fp32"
            return compare(mlmodel, *arguments, **named, **tolerances)

        def predict(model: Any, data: Any, state: Any = None) -> dict[str, Array]:
            return plugin.predict(model, data, state)

        patch.setattr(testing_utils, "_IS_MACOS", True)
        # Must come before any test imports it by name.
        patch.setattr(testing_utils, "compare_backend", compare_tightly)
        patch.setattr(ct.models.MLModel, "predict", predict)
        yield
