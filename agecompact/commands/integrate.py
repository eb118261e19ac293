"""`agecompact integrate`: writes a project that runs an artefact on a platform."""

from __future__ import annotations

from pathlib import Path

import click

from agecompact.console.common import say, screen
from agecompact.console.groups import PATH
from agecompact.integrate.platforms import PLATFORMS


@click.command()
@click.argument("artefact", type=PATH)
@click.option(
    "--platform",
    "platform_name",
    required=True,
    type=click.Choice(list(PLATFORMS)),
    help="What the project is for.",
)
@click.option("--out", type=PATH, required=True, help="Folder of the project.")
def command(artefact: Path, platform_name: str, out: Path) -> None:
    """Write a small project that runs ARTEFACT, with the preprocessing of its contract.

    The project needs no agecompact. It has the file, golden images before any preprocessing, their
    right answers, and a test that replays them and names the likely mistake if it fails.
    """
    from agecompact.integrate.answers import golden_of, greatest_difference
    from agecompact.integrate.project import check_target, write_project
    from agecompact.runtimes.registry import artifact_format

    platform = PLATFORMS[platform_name]
    platform.check(artifact_format(artefact))
    check_target(out)
    console = screen()
    golden = golden_of(artefact)
    write_project(artefact, golden, platform, out)
    count = len(golden.images)
    say(console, f"wrote {out}, for {platform.title}: {artefact.name} and {count} golden images")
    for output in golden.contract.outputs:
        tolerance = f"{golden.tolerances[output.name]:g} {output.unit}"
        say(console, f"{output.name}: the golden test allows {tolerance}")
        if golden.reference is not None:
            apart = greatest_difference(golden.answers, golden.reference, output.name)
            say(console, f"{output.name}: PyTorch's answers are at most {apart:.2g} away")
    for name in golden.unseen:
        say(console, f"the golden images do not show this mistake: {name}")
    say(console, f"next: cd {out} && {platform.test}")
