"""Faults in what an ONNX file tells an app."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from agecompact.artifacts import metadata
from tests.parity_tests.editing import Edit, in_onnx, unchanged


def inner_value(model: onnx.ModelProto) -> str:
    return next(node for node in model.graph.node if node.op_type == "Concat").output[0]


def extra_output(model: onnx.ModelProto) -> None:
    model.graph.output.add(name=inner_value(model))


def unused_input_with_default(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("flip", TensorProto.FLOAT, [1]))
    model.graph.initializer.append(helper.make_tensor("flip", TensorProto.FLOAT, [1], [0.0]))


def unused_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("flip", TensorProto.FLOAT, [1]))


def default_input(model: onnx.ModelProto) -> None:
    """Whoever forgets to feed it gets an age, not an error."""
    grey = np.full((1, 3, 64, 64), 127, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(grey, "middle"))


def weights_as_inputs(model: onnx.ModelProto) -> None:
    """As files of IR version 3; a runtime cannot fold such weights, since a caller may set them."""
    for each in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(each.name, each.data_type, each.dims)
        )


def onnx_side(name: str, axis: int, **values: Any) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        port = next(v for v in (*model.graph.input, *model.graph.output) if v.name == name)
        side = port.type.tensor_type.shape.dim[axis]
        side.Clear()
        for field, value in values.items():
            setattr(side, field, value)
        model.graph.ClearField("value_info")

    return change


def no_output_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.ClearField("shape")


def flat_output(model: onnx.ModelProto) -> None:
    """One value as before, but no axis for the batch."""
    last = next(node for node in model.graph.node if "age" in node.output)
    last.output[0] = "inner"
    model.graph.initializer.append(helper.make_tensor("flat", TensorProto.INT64, [1], [1]))
    model.graph.node.append(helper.make_node("Reshape", ["inner", "flat"], ["age"]))
    del model.graph.output[0].type.tensor_type.shape.dim[0]


def second_contract(model: onnx.ModelProto) -> None:
    """ONNX Runtime reads the last entry of a key, other readers the first."""
    described = json.loads(model.metadata_props[0].value)
    described["contract"]["color_order"] = "RGB"
    model.metadata_props.add(key=metadata.KEY, value=json.dumps(described))


def external_weights(path: Path) -> None:
    onnx.save(
        onnx.load_model(path),
        path,
        save_as_external_data=True,
        location=f"{path.name}.data",
        size_threshold=0,
    )


# By name: the fault, and the kind of failure that must be reported; none if it must pass.
FAULTS: dict[str, tuple[Edit, str]] = {
    "none": (unchanged, ""),
    "external-weights": (external_weights, "interface"),
    "extra-output": (in_onnx(extra_output), "names"),
    "unused-input": (in_onnx(unused_input), "names"),
    "unused-input-with-default": (in_onnx(unused_input_with_default), "names"),
    "weights-as-inputs": (in_onnx(weights_as_inputs), "names"),
    "default-input": (in_onnx(default_input), "interface"),
    "any-batch": (in_onnx(onnx_side("outer", 0, dim_param="batch")), "shapes"),
    "two-at-once": (in_onnx(onnx_side("outer", 0, dim_value=2)), "shapes"),
    "any-height": (in_onnx(onnx_side("outer", 2, dim_param="h")), "shapes"),
    "unknown-width": (in_onnx(onnx_side("outer", 3)), "shapes"),
    "any-output": (in_onnx(onnx_side("age", 0, dim_param="batch")), "shapes"),
    "two-outputs-declared": (in_onnx(onnx_side("age", 1, dim_value=2)), "shapes"),
    "no-output-shape": (in_onnx(no_output_shape), "shapes"),
    "flat-output": (in_onnx(flat_output), "shapes"),
    "second-contract": (in_onnx(second_contract), "interface"),
}
