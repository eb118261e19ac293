"""The harness behind `bench --on adb`: a record for every TFLite file of a build."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.bench import pairing
from agecompact.bench.circumstances import Delegate, Machine, Runtime, Thermal
from agecompact.bench.drivers import Report, Settings
from agecompact.bench.files import described, measured_files
from agecompact.bench.pairing import Paired
from agecompact.bench.record import Record, now
from agecompact.bench.validity import validated
from agecompact.errors import UsageError
from android_bench.adb import client, delegates, device, heat, pooling, program, race
from android_bench.adb.benchmark_model_engine import BenchmarkModelEngine
from android_bench.adb.device import Facts
from android_bench.adb.engine import Engine, EngineFailure, Plan, Subject
from android_bench.adb.failure import AdbFailure
from android_bench.adb.ledger import Key, Ledger
from android_bench.adb.options import ALL, FASTEST, Options
from android_bench.adb.race import Entrant
from android_bench.adb.runner_engine import RunnerEngine
from android_bench.adb.session import Session
from android_bench.emulated import stored


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Measures a build's TFLite files on a device with agecompact's own runner.

    Args:
        build: The build, a golden pack in it.
        settings: `place` is the device's serial. Batches other than 1 are left out: the artefacts
            take one face an inference.
        report: Told each file's name as it comes to it.

    Returns:
        A record for each TFLite file and thread count; one that did not run has its reason in
        `failure`.

    Raises:
        UsageError: There are several devices and none was named.
        AdbFailure: There is no device, or it cannot be used as it is.
        BackendMissingError: There is no adb, or no runner for ARM.
    """
    options = Options(
        serial=settings.place,
        threads=settings.threads,
        rounds=settings.rounds,
        profile=settings.profile,
    )
    return measure(build, options, report)


def measure(build: Build, options: Options, report: Report = lambda _: None) -> tuple[Record, ...]:
    """Measures a build's TFLite files on a device, in alternating rounds.

    A file that fails leaves a record with its reason, and the others are measured all the same. So
    does a delegate that is refused. A device that leaves is waited for, once for each file.

    Args:
        build: The build.
        options: How.
        report: Told each file's name.

    Raises:
        UsageError: There are several devices and none was named, another harness measures there, or
            there is no such delegate.
        AdbFailure: There is no device, or it cannot be used as it is.
        BackendMissingError: There is no adb, or no runner for ARM.
    """
    engine = _engine(options)
    delegates.named(options.delegate)
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
        runs=options.runs_per_round,
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
        """A record for each TFLite file and thread count of a build.

        What the ledger knows is not run again, but for the reference: it runs beside whatever runs.
        """
        entrants = self._entrants(build)
        known = {e: record for e in entrants if (record := self._known(e)) is not None}
        threads = min(self.options.threads)
        racing = [
            e
            for e in entrants
            if e not in known
            or (len(known) < len(entrants) and pairing.is_reference(build, e.blank, threads))
        ]
        coming = {e.subject.file.path.name for e in racing}
        for file in measured_files(build):
            if file.path.name not in coming:
                report(file.path.name)

        def take(entrant: Entrant, number: int) -> Record:
            name = entrant.subject.file.path.name
            if name in coming:
                coming.remove(name)
                report(name)
            return self._take(entrant, number)

        race.run(racing, self.options.rounds, take, self.ledger)
        for name in sorted(coming):
            report(name)
        ran = [Paired(e.blank, pooling.rounds_ms(e.rounds)) for e in racing if e.failure is None]
        reference = pairing.reference(build, ran, threads)
        finished = {e: self._finished(e, known.get(e), reference) for e in racing}
        return tuple({**known, **finished}[entrant] for entrant in entrants)

    def _entrants(self, build: Build) -> list[Entrant]:
        folder = build.folder / golden.FOLDER
        pack = golden.read_if_there(folder)
        entrants = []
        for file in measured_files(build):
            if file.format != "tflite":
                continue
            for threads in sorted(set(self.options.threads)):
                plan = _plan(self.options, threads, self.core_mask(threads))
                subject = Subject(file, folder, pack)
                blank = self._blank(subject, plan)
                entrants.append(Entrant(subject, plan, blank, self._key(blank, plan)))
        return entrants

    def _known(self, entrant: Entrant) -> Record | None:
        record = self.ledger.find(entrant.key) if self.ledger is not None else None
        # The same bytes may have another name by now.
        return record and replace(record, artifact=entrant.blank.artifact)

    def _finished(self, entrant: Entrant, known: Record | None, reference: Paired | None) -> Record:
        """The record of a race that an entrant ran; the ledger's, if this one is not believed."""
        if entrant.failure is not None:
            record = entrant.failure
        else:
            mine = Paired(entrant.blank, pooling.rounds_ms(entrant.rounds))
            ratio = pairing.ratio(mine, reference)
            record = replace(pooling.pooled(entrant.rounds), ratio=ratio)
        valid = validated(record).valid
        if self.ledger is not None:
            if valid:
                self.ledger.add(entrant.key, record)
            elif not entrant.cut_off:
                # What failed, or may not be believed, is measured anew next time.
                self.ledger.forget(entrant.key)
        return record if valid or known is None else known

    def core_mask(self, threads: int) -> str | None:
        """Mask of the cores to pin to; None leaves it to the system."""
        if self.options.cores == ALL:
            return None
        if self.options.cores == FASTEST:
            return device.fastest(self.facts.cores, threads)
        return self.options.cores.lower()

    def _take(self, entrant: Entrant, number: int) -> Record:
        """One round of an entrant.

        Raises:
            AdbFailure: The device left. It was waited for, so that the others may run.
        """
        last = number == self.options.rounds - 1
        plan = replace(entrant.plan, profile=entrant.plan.profile and last)
        try:
            # What was read after a round was read before the next.
            before = None if entrant.rounds else self._thermal(plan)
            filled = self.engine.measure(self.session, entrant.subject, plan, entrant.blank)
            if filled.failure is not None:
                return filled
            after = self._thermal(plan)
            told = heat.conditions(self.session.client, self._cores(plan), before, after)
            return replace(filled, conditions=told)
        except AdbFailure as failure:
            if failure.kind in ("gone", "offline"):
                self._wait()
                raise
            return replace(entrant.blank, failure=failure.reason)
        except (EngineFailure, UsageError) as failure:
            # A figure that a record refuses is no figure.
            return replace(entrant.blank, failure=" ".join(str(failure).split("\n")))

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
            taken_at=now(),
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
            rounds=self.options.rounds,
        )
