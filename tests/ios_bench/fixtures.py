"""The expected values of the Swift tests, computed by the Python code.

`python -m tests.ios_bench.fixtures` writes them; a test fails when they are out of date.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from agecompact.bench import statistics, store
from agecompact.bench.circumstances import Conditions, Delegate, Machine, Runtime, Thermal
from agecompact.bench.figures import Memory, OpTime, OutputAccuracy
from agecompact.bench.record import Artifact, Reason, Record, Size
from agecompact.bench.timing import Latency, Startup
from agecompact.files import canonical_json, pretty_json
from agecompact.serialization import unstructure
from tests.golden_pack import pack_files

FOLDER = Path(__file__).parents[2] / "ios_bench/AgecompactBench/Tests/BenchCoreTests/Fixtures"

_HASH = "0123456789abcdef" * 4


def full_record() -> Record:
    """Returns a record with every figure that Core ML can have."""
    return Record(
        source="device",
        artifact=Artifact(
            model="c3ae",
            file="c3ae_float16.mlpackage",
            format="coreml",
            precision="float16",
            sha256=_HASH,
            file_bytes=108128,
            parameters=39741,
            macs=21_000_000,
            size=Size(
                weights_bytes=80000,
                graph_bytes=26128,
                metadata_bytes=2000,
                deflated_bytes=90000,
                bound_bytes=79000,
            ),
        ),
        machine=Machine(
            cpu="iPhone16,1",
            os="iOS 17.5.1",
            name="iPhone 15 Pro",
            soc="Apple A17 Pro",
            abi="arm64",
            cores=6,
            os_build="21F90",
        ),
        runtime=Runtime(
            name="coreml",
            version="iOS 17.5.1",
            delegate=Delegate(
                asked="cpuAndNeuralEngine",
                got="cpuAndNeuralEngine",
                fallback_ops={"ios16.cast": 2},
                ops_by_unit={"cpu": 2, "neuralEngine": 31},
            ),
        ),
        latency=Latency.of((0.5, 0.25, 0.75, 1.0, 0.375), warmup_runs=10, elapsed_s=0.003),
        startup=Startup(
            init_ms=103.5,
            first_inference_ms=2.125,
            compile_ms=85.25,
            load_cold_ms=18.25,
            load_warm_ms=4.5,
        ),
        memory=Memory(
            peak_rss_bytes=41_000_000, model_rss_bytes=6_000_000, peak_footprint_bytes=12_500_000
        ),
        conditions=Conditions(
            low_power_mode=True,
            before=Thermal(status="nominal"),
            after=Thermal(status="serious", battery_temperature_c=36.5),
        ),
        output_error=OutputAccuracy(
            unit="years",
            samples=4,
            not_finite=0,
            weights_sha256=_HASH,
            max_error=0.0625,
            mean_error=0.03125,
            tolerance=0.1,
        ),
        profile=(OpTime(name="age", kind="ios16.linear", runs=1, mean_ms=0.125, unit="cpu"),),
        unknown={"cold_start_ms": "the app starts before its process measures"},
        taken_at="2026-01-31T12:00:00Z",
        valid=False,
        reasons=(Reason(rule="low-power", text="the device was in low-power mode"),),
    )


def hung_record() -> Record:
    """Returns the record of a compute unit that hung."""
    record = full_record()
    return Record(
        source="host",
        artifact=replace(record.artifact, size=None),
        machine=record.machine,
        runtime=replace(record.runtime, delegate=Delegate(asked="all")),
        failure="no answer within 300 s",
    )


def contents() -> dict[str, bytes]:
    """Returns the content of each file, by its path in `FOLDER`."""
    records = store.LatencyFile((full_record(), hung_record()))
    files = {
        "latency.json": _json(unstructure(records)),
        "statistics.json": canonical_json({"cases": _statistics()}).encode(),
    }
    files |= {f"golden/{name}": content for name, content in _golden().items()}
    files |= {f"sample.package/{name}": content for name, content in _package().items()}
    files["package.json"] = _json(_package_hash())
    return files


def _json(value: object) -> bytes:
    return pretty_json(value).encode()


def _statistics() -> list[dict[str, object]]:
    random = np.random.default_rng(7)
    cases = [
        [1.5],
        [2.0, 1.0],
        [0.1] * 10,
        [float(v) for v in random.lognormal(0.0, 0.3, 101)],
        [float(v) for v in random.lognormal(3.0, 1.0, 1000)],
    ]
    return [{"samples": case, **vars(statistics.summarise(case))} for case in cases]


def _golden() -> dict[str, bytes]:
    """Two samples of a 2 x 3 image, and a lookup table that differs between channels."""
    images = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3) * 7
    table = np.linspace(-1.0, 1.0, 3 * 256, dtype=np.float32).reshape(3, 256)
    pack = pack_files(
        _HASH,
        {"face": images},
        table,
        {"age": [31.5, 64.25]},
        model="c3ae",
        samples=("one", "two"),
        tolerances={"c3ae_float16.mlpackage": 0.1},
    )
    nchw = table[np.arange(3), images].transpose(0, 3, 1, 2)
    # The tensors that Swift must compute.
    return pack | {"expected.nchw.f32": np.ascontiguousarray(nchw).astype("<f4").tobytes()}


def _package() -> dict[str, bytes]:
    """Files whose order by path component is not their order as strings."""
    return {
        "Data/a/one.bin": b"",
        "Data/a-b/two.bin": bytes(range(256)) * 3,
        "Data/B.bin": b"three\n",
        "Manifest.json": b"{}\n",
    }


def _package_hash() -> dict[str, object]:
    # A second implementation of `files.sha256_of`, which a test compares with this one.
    files = sorted(_package().items(), key=lambda item: item[0].split("/"))
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files]
    return {
        "sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
        "bytes": sum(len(content) for _, content in files),
    }


def write() -> None:
    """Writes the fixtures."""
    for name, content in contents().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    write()
