"""The table of precisions, the only place that enumerates them.

To add one, add an entry to `PRECISIONS`, its name to the formats that support it
(`agecompact.formats`), and the case to their converters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# What a precision is calibrated with: nothing, a calibration file or faces, or faces alone.
Calibration = Literal["", "file", "faces"]


@dataclass(frozen=True)
class Precision:
    """How weights are stored; tensors that go in and come out are float32 in every precision.

    Attributes:
        name: Its name in manifests and file names.
        flag: Its name for `--precision`.
        stored_bits: Bits of a stored weight.
        rounding_unit: Largest relative error of one rounding, half a unit in the last place.
        arithmetic: Number type that LiteRT's CPU kernels compute in; None if unknown.
        calibration: What it is made with. If with faces, it promises nothing for other pictures.
    """

    name: str
    flag: str
    stored_bits: int
    rounding_unit: float
    arithmetic: str | None = None
    calibration: Calibration = ""

    @property
    def calibrated(self) -> bool:
        """Whether it is made with faces."""
        return bool(self.calibration)


PRECISIONS: Mapping[str, Precision] = {
    precision.name: precision
    for precision in (
        Precision("float32", "fp32", 32, 2.0**-24, arithmetic="float32"),
        # LiteRT 2.3.0 converts float16 weights to float32 as it loads them, even on processors with
        # half-precision arithmetic: both files take the same number of instructions.
        Precision("float16", "fp16", 16, 2.0**-11, arithmetic="float32"),
        # XNNPACK computes in float16 on processors that can, in float32 on others.
        Precision("float16-arithmetic", "fp16-arith", 16, 2.0**-11, arithmetic="float16"),
        # 127 steps on either side of 0.
        Precision("int8", "int8", 8, 0.5 / 127, arithmetic="int8", calibration="file"),
        # Two integers of int8 for each weight: 127 steps, and 254 for what they leave.
        Precision("int16", "int16", 16, 0.5 / (127 * 254), arithmetic="int16", calibration="file"),
        Precision("int8-dynamic", "int8-dynamic", 8, 0.5 / 127, arithmetic="int8"),
        Precision("int8-weights", "int8-weights", 8, 0.5 / 127, arithmetic="float32"),
        # Indices into a palette for each layer, whose entries are about as far apart as the steps
        # of integers with as many bits.
        Precision("palette8", "palette8", 8, 0.5 / 127),
        Precision("palette6", "palette6", 6, 0.5 / 31),
        Precision("palette4", "palette4", 4, 0.5 / 7),
        # Palettes of 4, 6 and 8 bits; which layer has which is chosen with faces.
        Precision("mixed", "mixed", 4, 0.5 / 7, calibration="faces"),
    )
}
