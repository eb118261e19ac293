"""Qualcomm's Hexagon Tensor Processor (HTP), as Qualcomm's simulator computes on x86-64 Linux.

ONNX Runtime's QNN execution provider compiles an ONNX file for a generation of the processor. Float
ops run in half precision, also those of a float32 file; int8 ops run as integers. What the
simulator answers has not been compared with silicon here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import onnxruntime as ort
import onnxruntime_qnn as qnn

from agecompact.errors import ConversionError
from agecompact.runtimes.base import Placement
from agecompact.runtimes.onnxruntime import OnnxRuntime, OnnxSession, options

_PROVIDER = "QNNExecutionProvider"


class _Session(OnnxSession):
    def placement(self) -> Placement:
        """One partition for each part of the graph that the NPU runs as a whole."""
        parts = self._session.get_provider_graph_assignment_info()
        left = [part for part in parts if part.ep_name != _PROVIDER]
        ops = Counter(node.op_type for part in left for node in part.get_nodes())
        return Placement(len(parts) - len(left), dict(sorted(ops.items())))


@dataclass(frozen=True)
class Htp(OnnxRuntime):
    """A generation of the processor.

    Attributes:
        architecture: Version of the Hexagon architecture.
        soc: Qualcomm's number of a chip that has it.
    """

    session: ClassVar[type[OnnxSession]] = _Session

    architecture: int
    soc: int

    def opened(self, model: str | bytes, *, threads: int) -> ort.InferenceSession:
        """A session whose ops run on the processor as far as it takes them."""
        made = self._options(threads, {"session.record_ep_graph_assignment_info": "1"})
        return ort.InferenceSession(model, made)

    def compile(self, path: Path, out: Path) -> None:
        """Writes a context binary: the file compiled for this generation, which a phone loads.

        Args:
            path: The ONNX file.
            out: The file to write, an ONNX file with one `EPContext` node, which has the binary.

        Raises:
            ConversionError: The processor cannot run the file, or does not take all of its ops.
        """
        entries = {
            "session.disable_cpu_ep_fallback": "1",
            "ep.context_enable": "1",
            "ep.context_file_path": os.fspath(out),
            "ep.context_embed_mode": "1",
        }
        made = self._options(1, entries)
        try:
            ort.InferenceSession(path, made)
        except Exception as error:  # ONNX Runtime's exceptions share no other base class.
            raise ConversionError(
                f"{path} cannot be compiled for HTP v{self.architecture}",
                why=str(error).splitlines()[0],
                fix="see which ops it leaves to the CPU: agecompact parity BUILD --runtime "
                f"htp-v{self.architecture}",
            ) from None

    def version(self) -> str:
        return f"onnxruntime {ort.__version__}, onnxruntime-qnn {qnn.__version__}"

    def _options(self, threads: int, entries: Mapping[str, str]) -> ort.SessionOptions:
        made = options(threads)
        # Warnings that no file can prevent, on standard error.
        made.log_severity_level = 4
        for key, value in entries.items():
            made.add_session_config_entry(key, value)
        made.add_provider_for_devices(_devices(), self._provider_options())
        return made

    def _provider_options(self) -> dict[str, str]:
        return {
            "backend_path": os.fspath(Path(qnn.__file__).with_name("libQnnHtp.so")),
            "soc_model": str(self.soc),
            "htp_arch": str(self.architecture),
            # It has no arithmetic in single precision.
            "enable_htp_fp16_precision": "1",
            # Else the CPU rounds what goes in, and restores what comes out.
            "offload_graph_io_quantization": "0",
        }


@cache
def _devices() -> list[Any]:
    """The devices of the provider, whose library is loaded once for a process."""
    ort.register_execution_provider_library(_PROVIDER, qnn.get_library_path())
    return [device for device in ort.get_ep_devices() if device.ep_name == _PROVIDER][:1]


# Numbers of chips: QnnHtpDevice.h of Qualcomm's SDK.
V69 = Htp(69, 36)
V73 = Htp(73, 43)
V75 = Htp(75, 57)
V79 = Htp(79, 69)
V81 = Htp(81, 87)
