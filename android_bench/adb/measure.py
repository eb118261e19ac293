"""The harness behind `bench --on adb`: a record for every TFLite file of a build."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from agecompact import golden
from agecompact.errors import UsageError
from agecompact.latency.circumstances import Delegate, Machine, Runtime, Thermal
from agecompact.latency.record import Record
from agecompact.latency.validity import judged
from agecompact.manifest import Build
from android_bench.adb import client, device, heat, program
from android_bench.adb.benchmark_model_engine import BenchmarkModelEngine
from android_bench.adb.device import Facts
from android_bench.adb.engine import Engine, EngineFailure, Plan, Subject
from android_bench.adb.failure import AdbFailure
from android_bench.adb.ledger import Key, Ledger
from android_bench.adb.options import ALL, FASTEST, Options
from android_bench.adb.runner_engine import RunnerEngine
from android_bench.adb.session import Session
from android_bench.artifacts import described, measured_files
from android_bench.emulated import stored
from android_bench.measurers import Report, Settings


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Measures a build's TFLite files on a device with agecompact's own runner.

    Args:
        build: The build, a golden pack in it.
        settings: `place` is the device's serial. Batches other than 1 are left out: the artefacts
            take one face an inference.
        report: Told each file's name.

    Returns:
        A record for each TFLite file and thread count; one that did not run has its reason in
        `failure`.

    Raises:
        UsageError: There are several devices and none was named.
        AdbFailure: There is no device, or it cannot be used as it is.
        BackendMissingError: There is no adb, or no runner for ARM.
    """
    options = Options(serial=settings.place, threads=settings.threads, profile=settings.profile)
    return measure(build, options, report)


def measure(build: Build, options: Options, report: Report = lambda _: None) -> tuple[Record, ...]:
    """Measures a build's TFLite files on a device.

    A file that fails leaves a record with its reason, and the others are measured all the same. A
    device that leaves is waited for, once for each file.

    Args:
        build: The build.
        options: How.
        report: Told each file's name.

    Raises:
        UsageError: There are several devices and none was named, another harness measures there, or
            the engine cannot do what is asked of it.
        AdbFailure: There is no device, or it cannot be used as it is.
        BackendMissingError: There is no adb, or no runner for ARM.
    """
    engine = _engine(options)
    for threads in options.threads:
        engine.check(_plan(options, threads, None))
    connected = client.connect(program.find(), options.named_serial())
    facts = device.query(connected)
    ledger = Ledger(options.ledger, connected.serial) if options.ledger is not None else None
    with Session(connected) as opened:
        harness = Harness(opened, engine, facts, options, ledger)
        return harness.measure_all(build, report)


def _engine(options: Options) -> Engine:
    if options.engine == "benchmark-model":
        assert options.benchmark_model is not None
        return BenchmarkModelEngine(options.benchmark_model)
    return RunnerEngine(stored.load())


def _plan(options: Options, threads: int, core_mask: str | None) -> Plan:
    return Plan(
        threads=threads,
        delegate=options.delegate,
        runs=options.runs,
        warmup=options.warmup,
        core_mask=core_mask,
        profile=options.profile,
        timeout_s=options.timeout_s,
    )


@dataclass
class Harness:
    """Measures artefacts in an open session.

    Attributes:
        session: The device.
        engine: What runs them.
        facts: What the device is.
        options: How.
        ledger: What was measured already; None keeps nothing.
    """

    session: Session
    engine: Engine
    facts: Facts
    options: Options
    ledger: Ledger | None = None
    _given_up: bool = False

    def measure_all(self, build: Build, report: Report) -> tuple[Record, ...]:
        """A record for each TFLite file and thread count of a build."""
        folder = build.folder / golden.FOLDER
        pack = golden.read(folder) if (folder / golden.FILE_NAME).is_file() else None
        records = []
        for file in measured_files(build):
            report(file.path.name)
            if file.format != "tflite":
                continue
            for threads in self.options.threads:
                records.append(self.measure_one(Subject(file, folder, pack), threads))
        return tuple(records)

    def measure_one(self, subject: Subject, threads: int) -> Record:
        """A record of one file; the ledger's, if it has one."""
        plan = _plan(self.options, threads, self.core_mask(threads))
        blank = self._blank(subject, plan)
        key = self._key(blank, plan)
        known = self.ledger.find(key) if self.ledger is not None else None
        if known is not None:
            # The same bytes may have another name by now.
            return replace(known, artifact=blank.artifact)
        record = self._measured(subject, plan, blank)
        # What failed, or may not be believed, is measured again next time.
        if self.ledger is not None and judged(record).valid:
            self.ledger.add(key, record)
        return record

    def core_mask(self, threads: int) -> str | None:
        """Mask of the cores to pin to; None leaves it to the system."""
        if self.options.cores == ALL:
            return None
        if self.options.cores == FASTEST:
            return device.fastest(self.facts.cores, threads)
        return self.options.cores.lower()

    def _measured(self, subject: Subject, plan: Plan, blank: Record) -> Record:
        try:
            before = self._thermal(plan)
            filled = self.engine.measure(self.session, subject, plan, blank)
            after = self._thermal(plan)
            told = heat.conditions(self.session.client, self._cores(plan), before, after)
            return replace(filled, conditions=told)
        except AdbFailure as failure:
            if failure.kind in ("gone", "offline"):
                self._wait()
            return replace(blank, failure=failure.reason)
        except (EngineFailure, UsageError) as failure:
            # A figure that a record refuses is no figure.
            return replace(blank, failure=" ".join(str(failure).split("\n")))

    def _wait(self) -> None:
        """Waits for a device that left, so that the next file may be measured.

        One that did not come back in time is not waited for again.
        """
        if self._given_up:
            return
        self._given_up = not self.session.client.wait(self.options.wait_s)
        with suppress(AdbFailure):
            self.session.reopen()

    def _thermal(self, plan: Plan) -> Thermal:
        return heat.thermal(self.session.client, self._cores(plan))

    def _cores(self, plan: Plan) -> tuple[int, ...]:
        numbers = [core.number for core in self.facts.cores] or [0]
        if plan.core_mask is None:
            return tuple(numbers)
        mask = int(plan.core_mask, 16)
        return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)

    def _blank(self, subject: Subject, plan: Plan) -> Record:
        return Record(
            source="device",
            artifact=described(subject.file),
            machine=self._machine(),
            runtime=Runtime(
                name=self.engine.runtime,
                version=self.engine.version,
                threads=plan.threads,
                core_mask=plan.core_mask,
                delegate=Delegate(asked=plan.delegate),
            ),
            failure="not measured yet",
            taken_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )

    def _machine(self) -> Machine:
        return device.machine(self.facts)

    def _key(self, blank: Record, plan: Plan) -> Key:
        return Key(
            serial=self.session.client.serial,
            sha256=blank.artifact.sha256,
            runtime=self.engine.version,
            threads=plan.threads,
            cores=plan.core_mask or "",
            delegate=plan.delegate,
            runs=plan.runs,
        )
