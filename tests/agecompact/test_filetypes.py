"""Files are recognised by their content, whatever their name, and the fix fits what they are."""

import gzip
import io
import pickle
import re
import tarfile
import zipfile

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save

from agecompact.filetypes import describe, fix_for, unreadable


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "a")
    return stream.getvalue()


def _torch() -> bytes:
    stream = io.BytesIO()
    torch.save({"w": torch.zeros(3)}, stream)
    return stream.getvalue()


def _legacy() -> bytes:
    stream = io.BytesIO()
    torch.save({"w": torch.zeros(3)}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def _torchscript() -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 1)), stream)  # type: ignore[no-untyped-call]
    return stream.getvalue()


def _exported() -> bytes:
    stream = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(1),)), stream)
    return stream.getvalue()


def _tar(name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


def _onnx(producer: str) -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [])
    model: onnx.ModelProto = helper.make_model(graph, producer_name=producer)
    return model.SerializeToString()


_PIXELS = np.zeros((4, 4, 3), np.uint8)
_CONTENTS = {
    "safetensors file": save({"w": torch.zeros(3)}),
    "ONNX model": _onnx("someone"),
    "ONNX model (without a producer)": _onnx(""),
    "TFLite model": b"\x1c\0\0\0TFL3" + bytes(20),
    "Keras HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(20),
    "PyTorch file": _torch(),
    "PyTorch file (of before 1.6)": _legacy(),
    "PyTorch file of before 2017, which can run code": _tar("sys_info"),
    "TorchScript archive, which is a program": _torchscript(),
    "torch.export archive, which is a program": _exported(),
    "ExecuTorch program": b"\x1c\0\0\0ET12" + bytes(20),
    "Python pickle, which can run code": pickle.dumps({"w": 1}),
    "tar archive": _tar("weights.pth"),
    "compressed file": gzip.compress(b"weights"),
    "ZIP archive": _zip(),
    "ZIP archive that is cut short": _zip()[:20],
    "ZIP archive that is cut short (by a byte)": _torch()[:-1],
    "image": cv2.imencode(".png", _PIXELS)[1].tobytes(),
    "image (JPEG)": cv2.imencode(".jpg", _PIXELS)[1].tobytes(),
    "web page": b"\n<!DOCTYPE html><html>Not Found</html>",
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
    "JSON file": b'{"a": 1}',
    "text file": "Grüße\n".encode() * 1000,
    "empty file": b"",
    "unknown type": b"\x07\x00\xff\xfe",
    "unknown type (not text)": b"\xff\xfe" * 10,
}


@pytest.mark.parametrize("name", _CONTENTS)
def test_a_file_is_described_by_its_content(name, tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(_CONTENTS[name])
    assert describe(path).endswith(re.sub(r" \(.*\)", "", name))


def test_folders(tmp_path):
    assert describe(tmp_path) == "a folder"
    (tmp_path / "Manifest.json").touch()
    assert describe(tmp_path) == "a Core ML package"


@pytest.mark.parametrize(
    ("content", "name", "wanted", "fix"),
    [
        ("Keras HDF5 file", "w.h5", "pytorch", "agecompact weights import {path} --model"),
        ("PyTorch file", "w.safetensors", "pytorch", "agecompact weights import {path} --model"),
        ("safetensors file", "w.safetensors", "pytorch", "damaged or cut short"),
        ("safetensors file", "w.h5", "keras", "rename it to *.safetensors"),
        ("TFLite model", "m.onnx", "onnx", "rename it to *.tflite"),
        ("TFLite model", "m.tflite", "pytorch", "the weights that it was exported from"),
        ("Git LFS pointer", "m.tflite", "tflite", "git lfs pull"),
        ("image", "face.onnx", "onnx", "agecompact predict {path}"),
        ("text file", "face.jpg", "image", "name a JPEG or PNG file"),
        ("text file", "m.onnx", "onnx", "agecompact export"),
        ("text file", "w.safetensors", "pytorch", "agecompact train"),
    ],
)
def test_the_fix_depends_on_what_the_file_is(content, name, wanted, fix, tmp_path):
    path = tmp_path / name
    path.write_bytes(_CONTENTS[content])
    assert fix.format(path=path) in fix_for(path, wanted=wanted)


def test_the_error_reports_the_type_or_else_the_reason(tmp_path):
    path = tmp_path / "w.safetensors"
    for content, why in (("Keras HDF5 file", "it is a Keras HDF5 file"), ("safetensors file", "E")):
        path.write_bytes(_CONTENTS[content])
        error = unreadable(path, ValueError("E"), wanted="pytorch")
        assert error.what == f"cannot read {path} as a safetensors file"
        assert (error.why, error.fix) == (why, fix_for(path, wanted="pytorch"))
    assert "as a new file" in unreadable(path, ValueError("E"), wanted="new").what
