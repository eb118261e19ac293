"""The twin computes what LiteRT computes, tensor for tensor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.int8 import twin
from export.int8.graph import Graph
from tests.export.int8.models import faces_of, float_file
from tests.marks import by_model
from tests.support import BuildOf

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs 'tflite'")


@pytest.mark.parametrize("model_id", by_model("ssrnet", "c3ae", "c3ae-plain", "mobileagenet"))
def test_every_tensor_is_litert_s(model_id: str, build_of: BuildOf) -> None:
    build = build_of(model_id)
    faces = faces_of(build.manifest.contract, 2)
    content = float_file(build)
    graph = Graph.parse(content)
    values = {t: torch.from_numpy(faces[graph.name(t)]) for t in graph.inputs}
    with torch.no_grad():
        for op in graph.ops:
            values[op.output] = twin.run(graph, op, values)
    right = interpreter.Interpreter(
        model_content=content, num_threads=1, experimental_preserve_all_tensors=True
    )
    right.allocate_tensors()
    for face in range(2):
        for details in right.get_input_details():
            right.set_tensor(
                details["index"],
                np.ascontiguousarray(
                    faces[graph.name(details["index"])][face : face + 1].transpose(0, 2, 3, 1)
                ),
            )
        right.invoke()
        for op in graph.ops:
            wanted = right.get_tensor(op.output)
            rows = len(wanted) if wanted.ndim else 1
            made = values[op.output].numpy()[face :: len(values[op.output]) // rows]
            if made.ndim == 4:
                made = made.transpose(0, 2, 3, 1)
            scale = max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(
                made.reshape(wanted.shape),
                wanted,
                atol=1e-4 * scale,
                err_msg=f"{op.kind} {op.index}",
            )


def test_an_unknown_op_is_named(build_of: BuildOf) -> None:
    graph = Graph.parse(float_file(build_of("ssrnet")))
    conv = graph.ops[0]
    conv.options.dilationHFactor = 2
    with pytest.raises(twin.UnknownOpError, match="CONV_2D with dilation"):
        twin.run(graph, conv, {graph.inputs[0]: torch.zeros(1, 3, 64, 64)})


def test_a_value_for_each_channel_is_a_factor_of_the_last_axis_of_the_file(
    build_of: BuildOf,
) -> None:
    build = build_of("ssrnet")
    graph = Graph.parse(float_file(build))
    (source,) = graph.inputs
    factors = graph.add_constant("factors", np.array([0.5, 1.0, 2.0], np.float32))
    made = graph.add_tensor("multiplied", graph.shape(source))
    graph.redirect(source, made)
    graph.insert_op(0, "MUL", (source, factors), made, graph.schema.MulOptionsT())
    faces = torch.from_numpy(faces_of(build.manifest.contract, 2)["face"])
    done = twin.run(graph, graph.ops[0], {source: faces})
    for channel, factor in enumerate((0.5, 1.0, 2.0)):
        torch.testing.assert_close(done[:, channel], faces[:, channel] * factor)
