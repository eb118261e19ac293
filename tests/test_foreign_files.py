"""Mutated files of every kind that agecompact reads end in an error for users, or are read.

To add a reader, add a function to `READERS` that writes a valid file and returns a `Reader`.
"""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from agecompact import filetypes
from agecompact.artifacts import golden, manifest
from agecompact.artifacts.metadata import ArtifactMetadata
from agecompact.bench import size, store
from agecompact.contract import Contract
from agecompact.data import cache, fingerprints, megaage, morph2, splitfile, utkface
from agecompact.data import registry as data_sets
from agecompact.data.splits import split
from agecompact.data.survey import survey
from agecompact.errors import AgecompactError
from agecompact.faces.files import read_chip, read_image
from agecompact.faces.framing import WHOLE
from agecompact.files import pretty_json
from agecompact.models import registry
from agecompact.serialization import read_versioned, write_versioned
from agecompact.training import faceres, recipe
from agecompact.training.checkpointing import Checkpoints
from agecompact.training.history import Epoch
from agecompact.weights import cards, checkpoints, unpickling
from agecompact.weights.importers import keras_hdf5
from android_bench.adb import conditions, device_info, device_list
from android_bench.adb.ledger import Ledger, LedgerKey
from android_bench.benchmark_model import flags, output, profile
from android_bench.emulated import bundle, counts, cpus, pins
from android_bench.failure import MeasurementFailure
from android_bench.native import output as runner_output
from ios_bench import parsers
from parity_tests import results, tolerances
from tests import golden_pack, mutations, records
from tests.agecompact.data import synthetic
from tests.agecompact.faces import made
from tests.android_bench.emulated import test_output as runner_texts
from tests.parity_tests.records import GOOD
from tests.support import REPOSITORY

_SECONDS = 5
# An error fits on a screen.
_LONGEST = 2000
_BYTES = 10**9
_DATA = REPOSITORY / "tests" / "data"

Mutate = Callable[[bytes, int], Iterator[bytes]]


@dataclass(frozen=True)
class Reader:
    """How to mutate a file and read it.

    Attributes:
        file: A valid file.
        read: Reads it, or what contains it.
        mutate: Makes its mutants.
        number: How many: 200, or fewer for a reader that takes long.
        raises: What it may raise.
    """

    file: Path
    read: Callable[[], object]
    mutate: Mutate
    number: int = 200
    raises: tuple[type[Exception], ...] = (AgecompactError,)


def _written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# JSON.


def _manifest(folder: Path) -> Reader:
    entry = manifest.Entry(
        file="a.onnx",
        format="onnx",
        precision="float32",
        sha256="0" * 64,
        bytes=9,
        converter="torch",
        versions={"torch": "2"},
        opset=17,
        batch=1,
        conversion_s=1.0,
    )
    failed = manifest.NotMade("a.tflite", "tflite", "float32", "no")
    contract = registry.get("c3ae").contract
    manifest.write(
        folder,
        manifest.Manifest(
            model="c3ae",
            weights="w",
            weights_sha256="0" * 64,
            contract=contract,
            source="paper",
            terms="t",
            parameters=1,
            folded_parameters=1,
            macs=1,
            artifacts=(entry,),
            not_made=(failed,),
        ),
    )
    return Reader(
        folder / manifest.FILE_NAME, lambda: manifest.read_builds(folder), mutations.json_mutants
    )


def _metadata(folder: Path) -> Reader:
    contract = registry.get("c3ae").contract
    metadata = ArtifactMetadata("c3ae", "float16", contract, "0" * 64, "paper", "t", {"torch": "2"})
    path = _written(folder, "metadata.json", metadata.to_json())

    def read() -> object:
        text = path.read_bytes().decode(errors="replace")
        return ArtifactMetadata.from_json(text).to_json()

    return Reader(path, read, mutations.json_mutants)


def _contract(folder: Path) -> Reader:
    path = folder / "contract.json"
    write_versioned(path, registry.get("c3ae").contract)

    def read() -> object:
        contract = read_versioned(path, Contract, what="contract")
        return contract.apply(np.zeros((64, 64, 3), np.uint8))

    return Reader(path, read, mutations.json_mutants, 100)


def _parity(folder: Path) -> Reader:
    path = folder / "parity.json"
    failed = replace(GOOD, status="failed", kind="mismatch", localisation={"rows": [1.0]})
    results.write(path, [GOOD, failed])
    return Reader(path, lambda: results.as_json(results.read(path)), mutations.json_mutants)


def _latency(folder: Path) -> Reader:
    path = folder / store.FILE_NAME
    store.add(path, records.ALL)
    return Reader(path, lambda: store.add(path, records.ALL[:1]), mutations.json_mutants)


def _golden(folder: Path) -> Reader:
    image = np.zeros((2, 8, 8, 3), np.uint8)
    table, outputs = np.zeros((3, 256), np.float32), np.zeros(2, np.float32)
    golden_pack.write_pack(folder, "0" * 64, {"face": image}, table, {"age": outputs})
    return Reader(folder / golden.FILE_NAME, lambda: golden.read(folder), mutations.json_mutants)


def _golden_array(folder: Path) -> Reader:
    reader = _golden(folder)
    return replace(reader, file=folder / "age.f32", mutate=mutations.binary_mutants)


def _split(folder: Path) -> Reader:
    parts = split(synthetic.faces(range(10, 60)))
    content = splitfile.SplitFile(
        dataset="utkface",
        target="age",
        protocol="stratified",
        fold="single",
        seed=1,
        parts={p: tuple(f.name for f in parts.part(p)) for p in ("train", "val", "test")},
        counts={"kept": 50},
        sha256=parts.sha256,
        contents_sha256=splitfile.contents_hash(parts),
    )
    path = folder / "split.json"
    write_versioned(path, content)
    return Reader(path, lambda: splitfile.read(path), mutations.json_mutants)


def _card(folder: Path) -> Reader:
    network = registry.build("c3ae-plain")
    weights = folder / "w.safetensors"
    card = {
        "data": {"terms": "t"},
        "split": {"sha256": "0" * 64},
        "evaluation": {"part": "test", "values": [1.0]},
    }
    checkpoints.write(weights, network, model_id="c3ae-plain", card=card)
    path = checkpoints.card_path(weights)
    text = path.read_bytes()

    def read() -> object:
        read = checkpoints.read(weights)
        doubts = cards.doubts(read.card, part="test", split_sha256="0" * 64)
        cards.update(weights, {"evaluation": {}})
        return read.terms, doubts

    return Reader(path, read, _with(text, mutations.json_mutants), 100)


def _with(content: bytes, mutate: Callable[..., Iterator[bytes]]) -> Mutate:
    """Mutants of a content that reading the file changes."""
    return lambda _, number: mutate(content, number)


def _weights_header(folder: Path) -> Reader:
    path = folder / "w.safetensors"
    checkpoints.write(path, registry.build("c3ae-plain"), model_id="c3ae-plain")
    checkpoints.card_path(path).unlink()
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])

    def mutate(_: bytes, number: int) -> Iterator[bytes]:
        own = header["__metadata__"]["agecompact"].encode()
        for mutant in mutations.json_mutants(own, number):
            changed = {**header, "__metadata__": {"agecompact": mutant.decode(errors="replace")}}
            yield _safetensors(json.dumps(changed).encode(), content[end:])
        for mutant in mutations.json_mutants(content[8:end], number):
            yield _safetensors(mutant, content[end:])

    return Reader(path, lambda: checkpoints.read(path).network(), mutate, 60)


def _safetensors(header: bytes, data: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def _weights(folder: Path) -> Reader:
    path = folder / "w.safetensors"
    checkpoints.write(path, registry.build("c3ae-plain"), model_id="c3ae-plain")
    checkpoints.card_path(path).unlink()
    return Reader(path, lambda: checkpoints.read(path).network(), mutations.binary_mutants, 100)


def _weights_size(folder: Path) -> Reader:
    reader = _weights_header(folder)
    return replace(reader, read=lambda: size.measure(reader.file, "float32", 1), number=20)


def _training_state(folder: Path) -> Reader:
    chosen = recipe.load("c3ae-plain")
    made = Checkpoints(folder, chosen, {"seed": 1, "recipe": asdict(chosen)})
    network = registry.build("c3ae-plain")
    optimiser = torch.optim.Adam(network.parameters())
    network(torch.zeros(2, 3, 64, 64)).sum().backward()
    optimiser.step()
    made.save(network, None, optimiser, [Epoch(1.0, 5.0, 1e-3, 2.0)] * 3, best=True)
    path = folder / "state.safetensors"
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])

    def mutate(_: bytes, number: int) -> Iterator[bytes]:
        metadata = header["__metadata__"]
        for mutant in mutations.json_mutants(metadata["history"].encode(), number):
            changed = {**metadata, "history": mutant.decode(errors="replace")}
            text = json.dumps({**header, "__metadata__": changed})
            yield _safetensors(text.encode(), content[end:])
        yield from mutations.binary_mutants(content, number)
        for mutant in mutations.json_mutants(content[8:end], number):
            yield _safetensors(mutant, content[end:])
        # Tensors under other names.
        for old, new in (("network.", "net."), ("optimiser.0.", "optimiser.x."), (".exp_avg", "")):
            yield _safetensors(content[8:end].replace(old.encode(), new.encode()), content[end:])

    def read() -> object:
        fresh = registry.build("c3ae-plain")
        restored = made.restore(fresh, None)
        restored.load_moments(torch.optim.Adam(fresh.parameters()))
        return restored

    return Reader(path, read, mutate, 60)


def _chip_cache(folder: Path, suffix: str) -> Reader:
    data = synthetic.utkface(folder / "data", {f"{20 + i}_0_0_{i}.jpg": i for i in range(3)})
    faces = survey(utkface.read(data), "age").faces
    at = folder / "cache"
    right = [chip.copy() for chip in cache.chips(faces, at) if chip is not None]
    (path,) = at.glob(f"*{suffix}")
    kept = shutil.copytree(at, folder / "kept")

    def read() -> object:
        content = path.read_bytes()
        shutil.rmtree(at)
        shutil.copytree(kept, at)
        path.write_bytes(content)
        chips = cache.chips(faces, at)
        # Whatever happened to the cache, these are the chips.
        for chip, expected in zip(chips, right, strict=True):
            assert chip is not None
            assert np.array_equal(chip, expected)
        path.parent.mkdir(exist_ok=True)
        return chips

    mutate = mutations.json_mutants if suffix == ".json" else mutations.binary_mutants
    return Reader(path, read, mutate, 60)


def _fingerprints(folder: Path) -> Reader:
    data = synthetic.utkface(folder / "data", {f"{20 + i}_0_0_{i}.jpg": i for i in range(3)})
    listing = utkface.read(data)
    at = folder / "cache"
    right = survey(listing, "age", cache=at)
    path = fingerprints.path_in(at, "utkface", WHOLE)
    content = path.read_bytes()

    def read() -> object:
        found = survey(listing, "age", cache=at, say=lambda _: None)
        assert found == right
        return found

    return Reader(path, read, _with(content, mutations.binary_mutants), 100)


def _ledger(folder: Path) -> Reader:
    ledger = Ledger(folder, "F00")
    key = LedgerKey("F00", records.SHA256, "litert 2.3.0", 1, "c0", "xnnpack", 10, 20)
    ledger.add_round(key, 0, records.DEVICE)
    ledger.add(key, records.DEVICE)
    content = ledger.path.read_bytes()

    def mutate(_: bytes, number: int) -> Iterator[bytes]:
        first, second = content.splitlines()
        yield from (m + b"\n" + second for m in mutations.json_mutants(first, number))

    def read() -> object:
        again = Ledger(folder, "F00")
        again.add_round(key, 0, records.DEVICE)
        return again

    return Reader(ledger.path, read, mutate)


def _bundle(folder: Path) -> Reader:
    path = folder / bundle.INDEX
    write_versioned(
        path,
        bundle.BundleIndex(
            litert="2", compiler="gcc", guest_sha256="0" * 64, plugin_sha256="0" * 64
        ),
    )
    return Reader(path, lambda: bundle.load_unchecked(folder), mutations.json_mutants, 100)


def _faceres(folder: Path) -> Reader:
    weights = [
        {"name": "a", "shape": [2, 3], "dtype": "float32"},
        {"name": "b", "shape": [4], "dtype": "float32", "quantization": {"dtype": "float16"}},
    ]
    (folder / "a.bin").write_bytes(bytes(32))
    content = {"weightsManifest": [{"paths": ["a.bin"], "weights": weights}]}
    path = _written(folder, "model.json", json.dumps(content))
    return Reader(path, lambda: faceres._tensors(path), mutations.json_mutants)


def _devices(folder: Path, name: str, parse: Callable[[str], object]) -> Reader:
    source = REPOSITORY / "tests" / "ios_bench" / "data" / name
    path = _written(folder, name, source.read_bytes())
    return Reader(
        path,
        lambda: parse(path.read_text(encoding="utf-8", errors="replace")),
        mutations.json_mutants,
    )


def _parsed_devices(text: str) -> object:
    return [(device.label, parsers.obstacle(device)) for device in parsers.parse_devices(text)]


# TOML.


def _recipe(folder: Path) -> Reader:
    source = Path(recipe.__file__).parent / "recipes" / "c3ae-study1.toml"
    path = _written(folder, "recipe.toml", source.read_bytes())
    # A training's identity is its recipe as JSON.
    return Reader(path, lambda: pretty_json(asdict(recipe.load(str(path)))), mutations.toml_mutants)


def _tolerances(folder: Path) -> Reader:
    source = Path(tolerances.__file__).with_name("tolerances.toml")
    path = _written(folder, "tolerances.toml", source.read_bytes())
    return Reader(path, lambda: tolerances.load(path), mutations.toml_mutants)


def _pins(folder: Path) -> Reader:
    path = _written(folder, "pins.toml", pins.FILE.read_bytes())

    def read() -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pins, "FILE", path)
            return pins.read()

    return Reader(path, read, mutations.toml_mutants)


def _cpus(folder: Path) -> Reader:
    path = _written(folder, "cpus.toml", cpus._FILE.read_bytes())

    def read() -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cpus, "_FILE", path)
            return cpus.known.__wrapped__()

    return Reader(path, read, mutations.toml_mutants)


# Logs and tables.


def _log(
    folder: Path,
    content: bytes | str,
    parse: Callable[[str], object],
    raises: tuple[type[Exception], ...] = (MeasurementFailure,),
) -> Reader:
    path = _written(folder, "log.txt", content)
    return Reader(
        path,
        lambda: parse(path.read_bytes().decode(errors="replace")),
        mutations.text_mutants,
        raises=raises,
    )


def _benchmark_model(folder: Path, name: str) -> Reader:
    return _log(folder, (_DATA / "benchmark_model" / name).read_bytes(), output.parse)


def _profile(folder: Path) -> Reader:
    content = (_DATA / "benchmark_model" / "composed_profile.csv").read_bytes()
    return _log(folder, content, profile.parse)


def _flags(folder: Path) -> Reader:
    return _log(folder, "--graph=x\n--num_threads=1\n", flags.known_flags, raises=())


_PHONE = """
[ro.product.model]: [Pixel 8]
[ro.soc.model]: [Tensor G3]
0 1704000
7 2914000
CPU implementer : 0x41
CPU part : 0xd4d
  temperature: 315
Thermal Status: 1
45000 cpu-0-0
0.52 0.58 0.59 1/467 1
"""


def _phone(folder: Path) -> Reader:
    def parse(text: str) -> object:
        cores = device_info.parse_cores(text)
        info = device_info.DeviceInfo(
            device_info.parse_properties(text), cores, device_info.parse_cpuinfo(text)
        )
        return (
            device_info.machine(info),
            device_info.fastest_cores(cores, 2),
            conditions.parse_battery(text),
            conditions.parse_status(text),
            conditions.parse_zones(text),
            conditions.parse_clock(text),
            conditions._load_average(text),
        )

    return _log(folder, _PHONE, parse, raises=())


def _adb_devices(folder: Path) -> Reader:
    text = "List of devices attached\nF00 device product:x model:y\nemulator-5554 offline\n"
    return _log(folder, text, device_list.parse, raises=())


def _morph2(folder: Path) -> Reader:
    data = synthetic.morph2(folder, [synthetic.morph_row(f"{i:06}", 0, "M", 30) for i in range(4)])
    path = data / "morph_2008_nonCommercial.csv"
    return Reader(path, lambda: morph2.read(data), mutations.text_mutants)


def _megaage(folder: Path) -> Reader:
    data = synthetic.megaage(folder, {"train": [("1.jpg", "23", 1), ("2.jpg", "24", 2)]})
    path = data / "list" / "train_age.txt"
    return Reader(path, lambda: megaage.read(data), mutations.text_mutants)


def _own_table(folder: Path, suffix: str, *lines: str) -> Reader:
    for seed in range(2):
        synthetic.write(folder / f"{seed}.jpg", seed)
    path = folder / f"labels.{suffix}"
    path.write_text("\n".join(lines) + "\n")
    return Reader(path, lambda: data_sets.read(suffix, path), mutations.text_mutants)


def _own_csv(folder: Path) -> Reader:
    rows = ('0.jpg,30,f,train,a,"1,2,30,40"', "1.jpg,40,m,test,b,")
    return _own_table(folder, "csv", "path,age,gender,split,subject,box", *rows)


def _own_json_lines(folder: Path) -> Reader:
    rows = (
        '{"path": "0.jpg", "age": 30, "gender": 1, "subject": "a", "box": [1, 2, 30, 40]}',
        '{"path": "1.jpg", "age": 40.0, "gender": null, "subject": 7}',
    )
    return _own_table(folder, "jsonl", *rows)


# Binary.


def _image(folder: Path, suffix: str, channels: int = 3) -> Reader:
    path = folder / f"image{suffix}"
    layers = np.dstack([synthetic.picture(1, 60)] * 2)[:, :, :channels]
    cv2.imwrite(str(path), layers)

    def read() -> object:
        read_chip(path, WHOLE)
        return read_image(path)

    return Reader(path, read, mutations.binary_mutants, 300)


def _heic(folder: Path) -> Reader:
    heif = pytest.importorskip("pillow_heif", reason="reads HEIC")
    reader = _image(folder, ".heic.png")
    reader.file.write_bytes(made.heic(synthetic.picture(1, 64), heif))
    return reader


def _profiled(folder: Path) -> Reader:
    reader = _image(folder, ".jpg")
    profile = made.profile("wide", lambda x: x**2)
    # At the start of the file, where mutations are.
    content = made.saved(synthetic.picture(1, 60), "JPEG", icc_profile=profile)
    reader.file.write_bytes(content)
    return reader


def _keras(folder: Path) -> Reader:
    h5py = pytest.importorskip("h5py", reason="needs the 'train' extra")
    path = folder / "w.h5"
    with h5py.File(path, "w") as file:
        for layer in ("conv1", "conv2"):
            file[f"{layer}/{layer}/kernel:0"] = np.ones((3, 3, 3, 4), np.float32)
        file.attrs["model_config"] = json.dumps(
            {"config": {"layers": [{"config": {"name": "conv1"}, "class_name": "Conv2D"}]}}
        )
    # Each runs in a process.
    return Reader(path, lambda: keras_hdf5.read(path), mutations.binary_mutants, 8)


def _imdb_wiki(folder: Path) -> Reader:
    from agecompact.data import imdb_wiki

    row = synthetic.imdb_row
    data = synthetic.imdb_wiki(folder, {"imdb": [row("01/a.jpg"), row("01/b.jpg")]})
    path = data / "imdb_crop" / "imdb.mat"
    return Reader(path, lambda: imdb_wiki.read(data), mutations.binary_mutants, 8)


def _filetypes(folder: Path) -> Reader:
    path = folder / "w.pth"
    torch.save({"a": torch.zeros(1)}, path)

    def read() -> object:
        error = filetypes.unreadable(path, ValueError("x"), wanted="pytorch")
        return str(error), filetypes.describe(path)

    return Reader(path, read, mutations.binary_mutants)


def _state_dict(folder: Path) -> Reader:
    path = folder / "weights.pth"
    torch.save({"a": torch.zeros(3)}, path)
    target = folder / "tensors.safetensors"
    return Reader(
        path, lambda: unpickling.extract(str(path), str(target)), mutations.binary_mutants
    )


READERS: dict[str, Callable[[Path], Reader]] = {
    "manifest": _manifest,
    "metadata of an artefact": _metadata,
    "contract": _contract,
    "parity.json": _parity,
    "latency.json": _latency,
    "golden pack": _golden,
    "array of a golden pack": _golden_array,
    "split file": _split,
    "card": _card,
    "header of weights": _weights_header,
    "weights": _weights,
    "size of weights": _weights_size,
    "state of a training": _training_state,
    "index of the chip cache": lambda folder: _chip_cache(folder, ".json"),
    "rows of the chip cache": lambda folder: _chip_cache(folder, ".npy"),
    "fingerprints": _fingerprints,
    "ledger": _ledger,
    "index of the ARM bundle": _bundle,
    "FaceRes": _faceres,
    "devicectl 2": lambda folder: _devices(folder, "devicectl_list_v2.json", _parsed_devices),
    "devicectl 5": lambda folder: _devices(folder, "devicectl_list_v5.json", _parsed_devices),
    "devicectl error": lambda folder: _devices(folder, "devicectl_gone.json", _failed_devices),
    "devicectl lock": lambda f: _devices(f, "devicectl_lock_state.json", parsers.parse_locked),
    "recipe": _recipe,
    "tolerances": _tolerances,
    "pins": _pins,
    "processors": _cpus,
    "benchmark_model 1": lambda folder: _benchmark_model(folder, "composed_tflite_1.txt"),
    "benchmark_model 2": lambda folder: _benchmark_model(folder, "composed_tflite_2.txt"),
    "benchmark_model percentiles": lambda folder: _benchmark_model(
        folder, "composed_tflite_2_percentiles.txt"
    ),
    "benchmark_model LiteRT": lambda folder: _benchmark_model(folder, "composed_litert.txt"),
    "profile of benchmark_model": _profile,
    "help of benchmark_model": _flags,
    "runner": lambda folder: _log(folder, runner_texts.OUTPUT, runner_output.parse),
    "counts": lambda folder: _log(folder, runner_texts.COUNTS, counts.parse),
    "phone": _phone,
    "adb devices": _adb_devices,
    "MORPH2": _morph2,
    "own CSV": _own_csv,
    "own JSON lines": _own_json_lines,
    "MegaAge": _megaage,
    "JPEG": lambda folder: _image(folder, ".jpg"),
    "PNG": lambda folder: _image(folder, ".png"),
    "WebP": lambda folder: _image(folder, ".webp"),
    "BMP": lambda folder: _image(folder, ".bmp"),
    "PNG with alpha": lambda folder: _image(folder, ".png", 4),
    "WebP with alpha": lambda folder: _image(folder, ".webp", 4),
    "GIF": lambda folder: _image(folder, ".gif"),
    "TIFF": lambda folder: _image(folder, ".tiff"),
    "AVIF": lambda folder: _image(folder, ".avif"),
    "HEIC": _heic,
    "colour profile": _profiled,
    "Keras HDF5": _keras,
    "IMDB-WIKI": _imdb_wiki,
    "types of files": _filetypes,
    "state dict": _state_dict,
}


def _failed_devices(text: str) -> object:
    try:
        return parsers.parse_devices(text)
    except parsers.DeviceError as error:
        return str(error)


@contextmanager
def _limits() -> Iterator[None]:
    """Ends what takes too long, and fails what allocates too much."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"longer than {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, too_long)
    _, hard = limits = resource.getrlimit(resource.RLIMIT_DATA)
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        used = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmData:"))
        resource.setrlimit(resource.RLIMIT_DATA, (used * 1024 + _BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        signal.signal(signal.SIGALRM, before)


# Each of its mutants builds a network.
_SLOW = "size of weights"


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n == _SLOW else n for n in READERS],
)
def test_no_mutant_ends_in_a_traceback(name: str, tmp_path: Path) -> None:
    reader = READERS[name](tmp_path)
    content = reader.file.read_bytes()
    reader.read()
    surprises = []
    with _limits():
        for index, mutant in enumerate(reader.mutate(content, reader.number)):
            reader.file.write_bytes(mutant)
            message = ""
            signal.setitimer(signal.ITIMER_REAL, _SECONDS)
            try:
                reader.read()
            except reader.raises as error:
                message = str(error) if isinstance(error, AgecompactError) else ""
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                surprises.append(
                    f"mutant {index}: {type(error).__name__}: {str(error)[:100]} "
                    f"({Path(where.filename).name}:{where.lineno}), {mutant[:60]!r}"
                )
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            if not message.replace("\n", "").isprintable() or len(message) > _LONGEST:
                surprises.append(f"mutant {index}: its error is {message[:300]!r}")
    assert not surprises, f"{len(surprises)} of them:\n" + "\n".join(surprises[:8])
