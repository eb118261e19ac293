"""Whether a record may be believed: a registry of small rules, each with its reason.

A figure that is refused stays in the record, with the reasons beside it: a table shows both, and a
comparison uses neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from agecompact.bench import statistics
from agecompact.bench.circumstances import Thermal
from agecompact.bench.figures import Instructions
from agecompact.bench.record import Reason, Record
from agecompact.bench.timing import Latency

# Three samples lie above a 90th percentile of thirty; of fewer it is one or two samples' story.
MIN_TIMED_RUNS = 30
# The first inference packs weights and grows the arena.
MIN_WARMUP_RUNS = 1
# Of (p90 - p50) / p50. A pinned core of a cool phone stays within 0.1; the same phone unpinned was
# seen at 184 to 225 ms, and at 27 to 30.
MAX_DEVICE_SPREAD = 0.25
# Half the width of the ratio's interval over the ratio. Beyond it, the ratio does not tell a
# float16 file from a float32 one. Absolute times of a shared host are told but never compared.
MAX_RATIO_UNCERTAINTY = 0.15
# Of processes that want a core. Preempted, a long inference loses more than a short one: with
# eleven on two cores PyTorch's ratio was 90, and steady; with none beside it, it is 6 to 17.
MAX_LOAD_PER_CORE = 1.5
# Median of the last third of the samples over that of the first.
MAX_SLOWDOWN = 1.15
# Of the clock after over the clock before.
MIN_CLOCK_KEPT = 0.9
# One process tells nothing of whether the count repeats.
MIN_COUNTED_PROCESSES = 2
# Two threads wait for each other a different number of turns: measured, 1.5 %.
MAX_COUNT_SPREAD_THREADED = 0.05
# Android's `light` already lowers a clock; Apple's `fair` does not.
COOL = frozenset({"none", "nominal", "fair"})

Rule = Callable[[Record], str | None]


def not_measured(record: Record) -> str | None:
    """Nothing was measured."""
    return record.failure


def too_few_runs(record: Record) -> str | None:
    """Fewer timed inferences than percentiles need."""
    latency = record.latency
    if latency is None or latency.timed_runs >= MIN_TIMED_RUNS:
        return None
    return f"{latency.timed_runs} timed runs, {MIN_TIMED_RUNS} at least"


def too_few_processes(record: Record) -> str | None:
    """Instructions were counted in one process only."""
    counted = record.instructions
    if counted is None or len(counted.totals) >= MIN_COUNTED_PROCESSES:
        return None
    return f"counted in {len(counted.totals)} process, {MIN_COUNTED_PROCESSES} at least"


def no_warmup(record: Record) -> str | None:
    """The first inference is among the timed ones."""
    if record.latency is None:
        return None
    if record.latency.warmup_runs is None:
        return "nothing says that it was warm: the first inference may be among the timed ones"
    if record.latency.warmup_runs >= MIN_WARMUP_RUNS:
        return None
    return "no warm-up run: the first inference is among the timed ones"


def spread_too_wide(record: Record) -> str | None:
    """The runs disagree more than what they are to tell."""
    if record.latency is not None:
        # A host's absolute times are told and never compared, a device's are.
        wide = None if record.source == "host" else _wide_latency(record.latency)
        return wide or _wide_ratio(record)
    if record.instructions is not None:
        return _wide_counts(record.instructions, record.runtime.threads or 1)
    return None


def _wide_latency(latency: Latency) -> str | None:
    # A tool that keeps its samples tells the deviation alone; p90 of a normal spread is 1.28 of it.
    if latency.p50_ms is not None and latency.p90_ms is not None:
        spread = (latency.p90_ms - latency.p50_ms) / latency.p50_ms
    elif latency.std_ms is not None:
        spread = 1.28 * latency.std_ms / latency.mean_ms
    else:
        return None
    if spread <= MAX_DEVICE_SPREAD:
        return None
    return f"p90 lies {spread:.0%} above the median, {MAX_DEVICE_SPREAD:.0%} at most"


def _wide_ratio(record: Record) -> str | None:
    ratio = record.ratio
    if ratio is None or ratio.low is None or ratio.high is None:
        return None
    uncertainty = (ratio.high - ratio.low) / 2 / ratio.median
    if uncertainty <= MAX_RATIO_UNCERTAINTY:
        return None
    return (
        f"the ratio lies between {ratio.low:.2f} and {ratio.high:.2f}, "
        f"more than {MAX_RATIO_UNCERTAINTY:.0%} either way"
    )


def _wide_counts(counted: Instructions, threads: int) -> str | None:
    least, most = min(counted.totals), max(counted.totals)
    allowed = 0.0 if threads == 1 else MAX_COUNT_SPREAD_THREADED
    if (most - least) / least <= allowed:
        return None
    return f"processes counted {least:,} to {most:,} instructions; {allowed:.0%} apart at most"


def busy(record: Record) -> str | None:
    """Other processes wanted the host's cores."""
    load = record.conditions.load_average if record.conditions else None
    cores = record.machine.cores
    if record.source != "host" or load is None or cores is None:
        return None
    if load <= MAX_LOAD_PER_CORE * cores:
        return None
    return f"{load:.1f} processes wanted {cores} cores, {MAX_LOAD_PER_CORE * cores:g} at most"


def throttled(record: Record) -> str | None:
    """The machine was hot, or its clock went down."""
    if record.conditions is None:
        return None
    before, after = record.conditions.before, record.conditions.after
    for when, heat in (("before", before), ("after", after)):
        if heat is not None and heat.status is not None and heat.status not in COOL:
            return f"thermal status '{heat.status}' {when} the run"
    return _lower_clock(before, after)


def _lower_clock(before: Thermal | None, after: Thermal | None) -> str | None:
    was = before.cpu_frequency_mhz if before else None
    now = after.cpu_frequency_mhz if after else None
    if was is None or now is None or now >= MIN_CLOCK_KEPT * was:
        return None
    return f"the clock went from {was:g} to {now:g} MHz"


def slowed_down(record: Record) -> str | None:
    """A device grew slower while it was timed, which no thermal status had to say."""
    samples_ms = record.latency.samples_ms if record.latency else None
    if record.source != "device" or samples_ms is None or len(samples_ms) < MIN_TIMED_RUNS:
        return None
    third = len(samples_ms) // 3
    first = statistics.summarise(samples_ms[:third]).p50
    last = statistics.summarise(samples_ms[-third:]).p50
    if last <= MAX_SLOWDOWN * first:
        return None
    return f"its last third took {last / first:.2f} times its first, {MAX_SLOWDOWN:g} at most"


def delegate_refused(record: Record) -> str | None:
    """Something else computed the graph than was asked for, or nobody knows what did."""
    delegate = record.runtime.delegate
    if delegate is None or delegate.got == delegate.asked:
        return None
    if delegate.got is None:
        # What failed before it came to its delegate says nothing of it.
        if record.failure is not None:
            return None
        return f"asked for {delegate.asked}, and nothing says that it ran"
    return f"asked for {delegate.asked}, got {delegate.got}"


def delegate_took_nothing(record: Record) -> str | None:
    """The delegate was loaded and took no piece of the graph."""
    delegate = record.runtime.delegate
    if delegate is None or record.failure is not None or delegate.partitions != 0:
        return None
    return f"{delegate.asked} took no piece of the graph"


def low_power(record: Record) -> str | None:
    """The system was saving its battery."""
    saving = record.conditions is not None and record.conditions.low_power_mode
    return "the device was in low-power mode" if saving else None


def wrong_output(record: Record) -> str | None:
    """What was measured does not compute what PyTorch computes."""
    error = record.output_error
    if error is None:
        return None
    if error.max_error is None:
        return f"{error.not_finite} of {error.samples} answers are not finite"
    if error.tolerance is None or error.max_error <= error.tolerance:
        return None
    return f"it errs by {error.max_error:.3g} {error.unit}, {error.tolerance:.3g} at most"


# By the name that a reason carries; reasons come in this order.
RULES: Mapping[str, Rule] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        not_measured,
        too_few_runs,
        too_few_processes,
        no_warmup,
        spread_too_wide,
        busy,
        throttled,
        slowed_down,
        delegate_refused,
        delegate_took_nothing,
        low_power,
        wrong_output,
    )
}


def validated(record: Record) -> Record:
    """The record with `valid` and `reasons` as the rules find them now, whatever they said."""
    found = {name: rule(record) for name, rule in RULES.items()}
    reasons = tuple(Reason(rule=name, text=text) for name, text in found.items() if text)
    return replace(record, valid=not reasons, reasons=reasons)
