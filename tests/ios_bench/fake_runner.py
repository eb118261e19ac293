"""A runner that fails on demand: `python fake_runner.py MODE PACKAGE --out FILE ...`.

It writes what the Swift runner writes, for a package that cannot run here. It imports only the
standard library, since it is started many times.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_FIXTURE = (
    Path(__file__).parents[2]
    / "ios_bench/AgecompactBench/Tests/BenchCoreTests/Fixtures/latency.json"
)


def record_of(package: Path, unit: str, source: str = "host") -> dict[str, Any]:
    """Returns the record of a package as JSON values."""
    record: dict[str, Any] = json.loads(_FIXTURE.read_text())["records"][0]
    record["source"] = source
    record["artifact"] |= {"file": package.name, "sha256": _hash(package), "model": "unknown"}
    record["runtime"]["delegate"] = {"asked": unit, "got": unit}
    return record | {"valid": None, "reasons": []}


def _hash(package: Path) -> str:
    files = sorted(path for path in package.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(package).as_posix()}\n"
        for path in files
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write(out: Path, *records: dict[str, Any]) -> None:
    """Writes a `latency.json`."""
    out.write_text(json.dumps(json.loads(_FIXTURE.read_text()) | {"records": list(records)}))


def main(mode: str, *arguments: str) -> int:
    """Behaves as the mode says."""
    if "--machine" in arguments:
        print(json.dumps(json.loads(_FIXTURE.read_text())["records"][0]["machine"]))
        return 0
    package = Path(arguments[0])
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    out, unit = Path(options["--out"]), options["--compute-unit"]
    record = record_of(package, unit)
    if mode == "hangs on all" and unit == "all":
        time.sleep(600)
    elif mode == "aborts":
        os.kill(os.getpid(), signal.SIGABRT)
    elif mode == "is cut off":
        write(out, record)
        out.write_text(out.read_text()[:200])
    elif mode == "writes nothing":
        print("error: cannot measure it\nwhy: it does not load", file=sys.stderr)
        return 1
    elif mode == "writes nothing and succeeds":
        return 0
    elif mode == "finds no Core ML":
        print("error: nothing can be measured here", file=sys.stderr)
        return 3
    elif mode == "measures another file":
        write(out, record | {"artifact": record["artifact"] | {"sha256": "f" * 64}})
    elif mode == "measures another unit":
        write(out, record_of(package, "cpuOnly" if unit != "cpuOnly" else "all"))
    else:
        write(out, record)
        return 1 if mode == "is beyond its tolerance" else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
