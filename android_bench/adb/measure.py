"""`bench --on adb`: a record for every TFLite file of a build."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from agecompact.artifacts import golden
from agecompact.artifacts.manifest import Build
from agecompact.bench import pairing
from agecompact.bench.circumstances import Delegate, Runtime
from agecompact.bench.drivers import Report, Settings
from agecompact.bench.files import BuildFile, described, files_opened_by
from agecompact.bench.pairing import TimedRounds
from agecompact.bench.record import Record, now
from agecompact.bench.validity import validated
from agecompact.errors import UsageError
from android_bench.adb import client, device_info, pooling, program, resumable_rounds
from android_bench.adb.benchmark_model_engine import BenchmarkModelEngine
from android_bench.adb.conditions import conditions, thermal
from android_bench.adb.device_info import DeviceInfo
from android_bench.adb.engine import Engine
from android_bench.adb.failure import AdbFailure
from android_bench.adb.ledger import Ledger, LedgerKey
from android_bench.adb.options import ALL, FASTEST, Options
from android_bench.adb.resumable_rounds import Contestant
from android_bench.adb.runner_engine import RunnerEngine
from android_bench.adb.session import Session
from android_bench.emulated import bundle
from android_bench.failure import MeasurementFailure

# Both engines run its files.
RUNTIME = "litert"


def available(place: str | None) -> str:
    """The device to measure, and LiteRT of the runner that it would run.

    Args:
        place: Its serial; None if only one is connected.

    Raises:
        UsageError: There are several devices and no serial is given, or none has that serial.
        AdbFailure: There is no device, or it is not ready.
        BackendMissingError: There is no adb, or no ARM runner.
    """
    connected = _connect(Options(serial=place))
    return f"{connected.serial}, LiteRT {bundle.load().index.litert}"


def measure_build(
    build: Build, settings: Settings, report: Report = lambda _: None
) -> tuple[Record, ...]:
    """Measures a build's TFLite files on a device with agecompact's own runner.

    Args:
        build: The build, with a golden pack in it.
        settings: `place` is the device's serial. Batches other than 1 are left out: the files take
            one face an inference.
        report: Receives each file's name after its last round.

    Returns:
        A record for each TFLite file and thread count; where one does not run, `failure` holds the
        reason.

    Raises:
        UsageError: There are several devices and no serial is given.
        AdbFailure: There is no device, or it is not ready.
        BackendMissingError: There is no adb, or no ARM runner.
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

    If a file fails, or its delegate is refused, its record says why and the others are measured. If
    the device is lost, each file waits for it once.

    Args:
        build: The build.
        options: How to measure.
        report: Receives each file's name after its last round.

    Raises:
        UsageError: There are several devices and no serial is given, or another process measures
            on the device.
        AdbFailure: There is no device, or it is not ready.
        BackendMissingError: There is no adb, or no ARM runner.
    """
    # The device first: without one, what it would run is of no interest.
    connected = _connect(options)
    engine = _engine(build, options)
    info = device_info.query(connected)
    ledger = Ledger(options.ledger, connected.serial) if options.ledger is not None else None
    with Session(connected) as session:
        return _Measurement(session, engine, info, options, ledger).run(build, report)


def _connect(options: Options) -> client.Client:
    return client.connect(program.find(), options.named_serial())


def _engine(build: Build, options: Options) -> Engine:
    if options.benchmark_model is not None and options.engine == "benchmark-model":
        return BenchmarkModelEngine(options.benchmark_model, options)
    return RunnerEngine(bundle.load(), build.folder / golden.FOLDER, options)


@dataclass
class _Measurement:
    """The measurement of a build in an open session."""

    session: Session
    engine: Engine
    info: DeviceInfo
    options: Options
    ledger: Ledger | None
    _stopped_waiting: bool = False

    def run(self, build: Build, report: Report) -> tuple[Record, ...]:
        """Returns a record for each TFLite file and thread count of a build.

        What the ledger holds is not measured again, except the reference, which always runs beside
        the others.
        """
        contestants = self._contestants(build)
        known = {c: record for c in contestants if (record := self._known(c)) is not None}
        threads = min(self.options.threads)
        running = [
            c
            for c in contestants
            if c not in known
            or (len(known) < len(contestants) and pairing.is_reference(build, c.blank, threads))
        ]
        unreported = {c.file.path.name for c in contestants}

        def report_once(contestant: Contestant) -> None:
            name = contestant.file.path.name
            if name in unreported:
                unreported.remove(name)
                report(name)

        def measure_round(contestant: Contestant, number: int) -> Record:
            record = self._measure_round(contestant, number)
            if number == self.options.rounds - 1:
                report_once(contestant)
            return record

        resumable_rounds.run(running, self.options.rounds, measure_round, self.ledger)
        for contestant in contestants:
            report_once(contestant)
        timed = [_timed(c) for c in running if c.failure is None]
        reference = pairing.reference(build, timed, threads)
        finished = {c: self._finished(c, known.get(c), reference) for c in running}
        return tuple({**known, **finished}[c] for c in contestants)

    def _contestants(self, build: Build) -> list[Contestant]:
        contestants = []
        for file in files_opened_by(RUNTIME, build):
            for threads in sorted(set(self.options.threads)):
                blank = self._blank(file, threads)
                contestants.append(Contestant(file, blank, self._key(blank, threads)))
        return contestants

    def _core_mask(self, threads: int) -> str | None:
        """Mask of the cores to pin to; None leaves that to the system."""
        if self.options.cores == ALL:
            return None
        if self.options.cores == FASTEST:
            return device_info.fastest_cores(self.info.cores, threads)
        return self.options.cores.lower()

    def _blank(self, file: BuildFile, threads: int) -> Record:
        """The record of a file before anything is measured."""
        return Record(
            source="device",
            artifact=described(file),
            machine=device_info.machine(self.info),
            runtime=Runtime(
                name=self.engine.runtime,
                version=self.engine.version,
                threads=threads,
                core_mask=self._core_mask(threads),
                delegate=Delegate(asked=self.options.delegate),
            ),
            failure="not measured yet",
            taken_at=now(),
        )

    def _key(self, blank: Record, threads: int) -> LedgerKey:
        return LedgerKey(
            serial=self.session.client.serial,
            sha256=blank.artifact.sha256,
            runtime=self.engine.version,
            threads=threads,
            cores=blank.runtime.core_mask or "",
            delegate=self.options.delegate,
            runs=self.options.runs_per_round,
            rounds=self.options.rounds,
        )

    def _known(self, contestant: Contestant) -> Record | None:
        record = self.ledger.find(contestant.key) if self.ledger is not None else None
        # The file may have been renamed since.
        return record and replace(record, artifact=contestant.blank.artifact)

    def _finished(
        self, contestant: Contestant, known: Record | None, reference: TimedRounds | None
    ) -> Record:
        """The record of all rounds, or the ledger's if this one is not valid."""
        if contestant.failure is not None:
            record = contestant.failure
        else:
            ratio = pairing.ratio(_timed(contestant), reference)
            record = replace(pooling.pooled(contestant.rounds), ratio=ratio)
        valid = validated(record).valid
        if self.ledger is not None:
            if valid:
                self.ledger.add(contestant.key, record)
            elif not contestant.device_lost:
                # What failed or is not valid is measured from the start next time.
                self.ledger.discard_rounds(contestant.key)
        return record if valid or known is None else known

    def _measure_round(self, contestant: Contestant, number: int) -> Record:
        """Measures one round; raises `AdbFailure` if the device was lost and waited for."""
        device, blank = self.session.client, contestant.blank
        cores = self._cores(blank.runtime.core_mask)
        profile = self.options.profile and number == self.options.rounds - 1
        try:
            # The reading after a round is also the one before the next.
            before = None if contestant.rounds else thermal(device, cores)
            filled = self.engine.measure(self.session, contestant.file, blank, profile=profile)
            if filled.failure is not None:
                return filled
            after = thermal(device, cores)
            return replace(filled, conditions=conditions(device, cores, before, after))
        except AdbFailure as failure:
            if failure.kind in ("gone", "offline"):
                self._wait()
                raise
            return replace(blank, failure=failure.reason)
        except (MeasurementFailure, UsageError) as failure:
            # A record refuses impossible figures with a `UsageError`.
            return replace(blank, failure=" ".join(str(failure).split("\n")))

    def _wait(self) -> None:
        """Waits for a lost device; one that did not return in time is not waited for again."""
        if self._stopped_waiting:
            return
        self._stopped_waiting = not self.session.client.wait(self.options.wait_s)
        with suppress(AdbFailure):
            self.session.reopen()

    def _cores(self, core_mask: str | None) -> tuple[int, ...]:
        """Numbers of the cores in use."""
        if core_mask is None:
            return tuple(core.number for core in self.info.cores) or (0,)
        mask = int(core_mask, 16)
        return tuple(i for i in range(mask.bit_length()) if mask >> i & 1)


def _timed(contestant: Contestant) -> TimedRounds:
    return TimedRounds(contestant.blank, pooling.rounds_ms(contestant.rounds))
