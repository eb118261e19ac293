"""The places of `bench --on`: each driver's own check."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from agecompact.bench.drivers import DRIVERS
from agecompact.diagnosis.checks import Check, Settings


def checks(settings: Settings) -> Iterator[Check]:  # noqa: ARG001 - a place is checked one way.
    """Yields a check for each place."""
    for name, driver in DRIVERS.items():
        probe = partial(driver.available, None)
        yield Check(f"--on {name}", probe, (f"bench --on {name}: {driver.summary}",))
