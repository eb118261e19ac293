"""The rules that decide whether a record is valid.

An invalid record keeps its figures, with the reasons: tables show both, comparisons use neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from agecompact.bench import statistics
from agecompact.bench.circumstances import Thermal
from agecompact.bench.figures import Instructions
from agecompact.bench.record import Reason, Record
from agecompact.bench.timing import Latency

# Three of thirty samples are above the 90th percentile; with fewer it depends on one or two.
MIN_TIMED_RUNS = 30
# The first inference packs weights and grows the arena.
MIN_WARMUP_RUNS = 1
# Of (p90 - p50) / p50. A pinned core of a cool phone stays within 0.1; the same phone unpinned gave
# both 184 to 225 ms and 27 to 30 ms.
MAX_DEVICE_SPREAD = 0.25
# Half the width of the ratio's interval over the ratio. Beyond it, the ratio cannot tell a float16
# file from a float32 one. Absolute times of a shared host are reported but never compared.
MAX_RATIO_UNCERTAINTY = 0.15
# Runnable processes per core. Preemption costs a long inference more than a short one: with eleven
# processes on two cores PyTorch's ratio was a steady 90; with no other process it is 6 to 17.
MAX_LOAD_PER_CORE = 1.5
# Median of the last third of the samples over that of the first.
MAX_SLOWDOWN = 1.15
# Clock after the run over the clock before.
MIN_CLOCK_KEPT = 0.9
# A single process does not show whether the count repeats.
MIN_COUNTED_PROCESSES = 2
# Two threads spin for each other a varying number of times: 1.5 % was measured.
MAX_COUNT_SPREAD_THREADED = 0.05
# Android's `light` already lowers a clock; Apple's `fair` does not.
COOL = frozenset({"none", "nominal", "fair"})

# Returns what is wrong with a record; None if nothing is.
Rule = Callable[[Record], str | None]


def not_measured(record: Record) -> str | None:
    """Nothing was measured."""
    return record.failure


def too_few_runs(record: Record) -> str | None:
    """Fewer timed inferences than percentiles need."""
    latency = record.latency
    if latency is None or latency.timed_runs >= MIN_TIMED_RUNS:
        return None
    return f"{latency.timed_runs} timed runs, at least {MIN_TIMED_RUNS} needed"


def too_few_processes(record: Record) -> str | None:
    """Instructions were counted in one process only."""
    counted = record.instructions
    if counted is None or len(counted.totals) >= MIN_COUNTED_PROCESSES:
        return None
    return f"counted in {len(counted.totals)} process, at least {MIN_COUNTED_PROCESSES} needed"


def no_warmup(record: Record) -> str | None:
    """The first inference is among the timed ones."""
    if record.latency is None:
        return None
    if record.latency.warmup_runs is None:
        return "unknown warm-up: the first inference may be among the timed ones"
    if record.latency.warmup_runs >= MIN_WARMUP_RUNS:
        return None
    return "no warm-up run: the first inference is among the timed ones"


def spread_too_wide(record: Record) -> str | None:
    """The runs vary more than the differences that they should show."""
    if record.latency is not None:
        # Absolute times of a host are never compared, those of a device are.
        wide = None if record.source == "host" else _wide_latency(record.latency)
        return wide or _wide_ratio(record)
    if record.instructions is not None:
        return _wide_counts(record.instructions, record.runtime.threads or 1)
    return None


def _wide_latency(latency: Latency) -> str | None:
    # Without samples only the deviation is known; p90 of a normal distribution is 1.28 of it.
    if latency.p50_ms is not None and latency.p90_ms is not None:
        spread = (latency.p90_ms - latency.p50_ms) / latency.p50_ms
    elif latency.std_ms is not None:
        spread = 1.28 * latency.std_ms / latency.mean_ms
    else:
        return None
    if spread <= MAX_DEVICE_SPREAD:
        return None
    return f"p90 is {spread:.0%} above the median, at most {MAX_DEVICE_SPREAD:.0%} allowed"


def _wide_ratio(record: Record) -> str | None:
    ratio = record.ratio
    if ratio is None or ratio.low is None or ratio.high is None:
        return None
    uncertainty = (ratio.high - ratio.low) / 2 / ratio.median
    if uncertainty <= MAX_RATIO_UNCERTAINTY:
        return None
    return (
        f"the ratio is between {ratio.low:.2f} and {ratio.high:.2f}, "
        f"more than {MAX_RATIO_UNCERTAINTY:.0%} either way"
    )


def _wide_counts(counted: Instructions, threads: int) -> str | None:
    least, most = min(counted.totals), max(counted.totals)
    allowed = 0.0 if threads == 1 else MAX_COUNT_SPREAD_THREADED
    if (most - least) / least <= allowed:
        return None
    return f"processes counted {least:,} to {most:,} instructions, at most {allowed:.0%} allowed"


def busy(record: Record) -> str | None:
    """Other processes competed for the host's cores."""
    load = record.conditions.load_average if record.conditions else None
    cores = record.machine.cores
    if record.source != "host" or load is None or cores is None:
        return None
    allowed = MAX_LOAD_PER_CORE * cores
    if load <= allowed:
        return None
    return f"a load average of {load:.1f} on {cores} cores, at most {allowed:g} allowed"


def throttled(record: Record) -> str | None:
    """The machine was hot, or its clock fell."""
    if record.conditions is None:
        return None
    before, after = record.conditions.before, record.conditions.after
    for when, thermal in (("before", before), ("after", after)):
        if thermal is not None and thermal.status is not None and thermal.status not in COOL:
            return f"thermal status '{thermal.status}' {when} the run"
    return _lower_clock(before, after)


def _lower_clock(before: Thermal | None, after: Thermal | None) -> str | None:
    old_mhz = before.cpu_frequency_mhz if before else None
    new_mhz = after.cpu_frequency_mhz if after else None
    if old_mhz is None or new_mhz is None or new_mhz >= MIN_CLOCK_KEPT * old_mhz:
        return None
    return f"the clock fell from {old_mhz:g} to {new_mhz:g} MHz"


def slowed_down(record: Record) -> str | None:
    """A device became slower during the run, whatever its thermal status."""
    samples_ms = record.latency.samples_ms if record.latency else None
    if record.source != "device" or samples_ms is None or len(samples_ms) < MIN_TIMED_RUNS:
        return None
    third = len(samples_ms) // 3
    first = statistics.summarise(samples_ms[:third]).p50
    last = statistics.summarise(samples_ms[-third:]).p50
    if last <= MAX_SLOWDOWN * first:
        return None
    return (
        f"its last third took {last / first:.2f} times its first, at most {MAX_SLOWDOWN:g} allowed"
    )


def delegate_refused(record: Record) -> str | None:
    """Another delegate than the requested one ran, or it is unknown which."""
    delegate = record.runtime.delegate
    if delegate is None or delegate.got == delegate.asked:
        return None
    if delegate.got is None:
        # A run that failed before the delegate was loaded does not show a refusal.
        if record.failure is not None:
            return None
        return f"asked for {delegate.asked}, but nothing shows that it ran"
    return f"asked for {delegate.asked}, got {delegate.got}"


def delegate_took_nothing(record: Record) -> str | None:
    """The delegate was loaded and took no part of the graph."""
    delegate = record.runtime.delegate
    if delegate is None or record.failure is not None or delegate.partitions != 0:
        return None
    return f"{delegate.asked} took no part of the graph"


def low_power(record: Record) -> str | None:
    """The battery saver was on."""
    saving = record.conditions is not None and record.conditions.low_power_mode
    return "the device was in low-power mode" if saving else None


def wrong_output(record: Record) -> str | None:
    """The outputs differ from PyTorch's by more than the tolerance."""
    error = record.output_error
    if error is None:
        return None
    if error.max_error is None:
        return f"{error.not_finite} of {error.samples} outputs are not finite"
    if error.tolerance is None or error.max_error <= error.tolerance:
        return None
    return f"an error of {error.max_error:.3g} {error.unit}, at most {error.tolerance:.3g} allowed"


# By the name that a reason carries; reasons are listed in this order.
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
    """Returns the record with `valid` and `reasons` set by the current rules."""
    found = {name: rule(record) for name, rule in RULES.items()}
    reasons = tuple(Reason(rule=name, text=text) for name, text in found.items() if text)
    return replace(record, valid=not reasons, reasons=reasons)
