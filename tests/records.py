"""Records for tests to compare, store and alter."""

from agecompact.artifacts import preprocessing
from agecompact.artifacts.preprocessing import Cost
from agecompact.bench.circumstances import Delegate, Machine, Runtime
from agecompact.bench.figures import Instructions, OutputAccuracy
from agecompact.bench.record import Artifact, Record, Size
from agecompact.bench.timing import Latency, Ratio

SHA256 = "5" * 64
SIZE = Size(
    weights_bytes=1200, graph_bytes=250, metadata_bytes=50, deflated_bytes=1100, bound_bytes=1150
)
ARTIFACT = Artifact(
    model="ssrnet",
    file="ssrnet_float16.tflite",
    format="tflite",
    precision="float16",
    sha256=SHA256,
    file_bytes=1500,
    parameters=40_531,
    macs=17_078_926,
    size=SIZE,
)
XNNPACK = Delegate(asked="xnnpack", got="xnnpack", partitions=1, fallback_ops={})
RUNTIME = Runtime(name="litert", version="litert 2.3.0", threads=1, delegate=XNNPACK)
SAMPLES_MS = (1.0, 1.1) * 20
RATIO = Ratio(
    reference="ssrnet_float32.tflite",
    reference_sha256="6" * 64,
    reference_threads=1,
    median=0.8,
    low=0.79,
    high=0.81,
)
OUTPUT_ERROR = OutputAccuracy(
    unit="years",
    samples=8,
    not_finite=0,
    max_error=1e-3,
    mean_error=1e-4,
    tolerance=0.1,
    weights_sha256="7" * 64,
)
HOST_MACHINE = Machine(cpu="a host's", os="Linux", cores=2)
HOST = Record(
    source="host",
    artifact=ARTIFACT,
    machine=HOST_MACHINE,
    runtime=RUNTIME,
    latency=Latency.of(SAMPLES_MS, warmup_runs=1, rounds=4, elapsed_s=0.1),
    ratio=RATIO,
    output_error=OUTPUT_ERROR,
)
DEVICE = Record(
    source="device",
    artifact=ARTIFACT,
    machine=Machine(cpu="8 cores", os="Android 15", name="a phone", soc="a chip"),
    runtime=RUNTIME,
    latency=Latency.of(SAMPLES_MS, warmup_runs=1),
    output_error=OUTPUT_ERROR,
)
EMULATED = Record(
    source="emulated-instructions",
    artifact=ARTIFACT,
    machine=Machine(cpu="cortex-a76", os="Linux", emulator="qemu-aarch64 7.2 -cpu cortex-a76"),
    runtime=RUNTIME,
    instructions=Instructions(
        total=4_410_000,
        totals=(4_410_000, 4_410_000),
        load=1_000_000,
        bound=1_000_000,
        bound_basis="4 float32 lanes an instruction",
    ),
    output_error=OUTPUT_ERROR,
)
ALL = (HOST, DEVICE, EMULATED)
PREPROCESSED = preprocessing.Record(
    file="w.safetensors",
    sha256="7" * 64,
    weights_sha256="7" * 64,
    contract_sha256="8" * 64,
    runtime="torch 2.0",
    versions={"opencv": "4.0"},
    output="age",
    unit="years",
    dataset="utkface",
    part="test",
    split_sha256="9" * 64,
    faces=1000,
    faces_sha256="a" * 64,
    figure="mae",
    right=5.75,
    costs=(
        Cost(
            mistake="range-0-1",
            kind="range",
            text="gives 0..1 for 0..255",
            mean=13.8,
            p99=45.0,
            greatest=50.8,
            change=9.5,
        ),
        Cost(
            mistake="resize-linear",
            kind="resize",
            text="resizes bilinearly, without anti-aliasing",
            mean=1.4,
            p99=3.0,
            greatest=4.1,
            change=-0.04,
        ),
    ),
)
