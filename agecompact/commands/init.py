"""`agecompact init`: writes a project file by looking at a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agecompact.console.common import say, screen
from agecompact.console.groups import PATH, count_option
from agecompact.errors import UsageError


@click.command()
@click.argument("file", type=PATH)
@click.option(
    "--factory",
    required=True,
    metavar="WHERE",
    help="What builds the network: nets.py:build beside FILE, or package.module:build.",
)
@click.option("--weights", type=PATH, help="Its trained weights.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A keyword argument of the factory; repeatable.",
)
@click.option("--name", help="Name of the network; default: that of FILE.")
@count_option("--side", "Height and width of its images; default: the first likely one.")
@count_option("--inputs", "Number of images that it takes.", default=1)
def command(
    file: Path,
    factory: str,
    weights: Path | None,
    settings: tuple[str, ...],
    name: str | None,
    side: int | None,
    inputs: int,
) -> None:
    """Write FILE, a commented project file for your own network.

    The network is built, its weights are tried, and it runs once on noise, so that the file says
    what it takes and returns. What cannot be seen, such as mean and std, is marked: check those
    lines, and then run `agecompact check FILE`.
    """
    import os

    from agecompact.files import write_text
    from agecompact.models import draft, project, registry
    from agecompact.weights.fitting import fit
    from agecompact.weights.statedicts import read_state_dict

    if not project.is_project(file):
        raise UsageError(f"a project file needs the suffix {project.SUFFIX}, not '{file.name}'")
    if file.exists():
        raise UsageError(f"{file} exists", fix="remove it, or name another file")
    if not file.parent.is_dir():
        raise UsageError(f"there is no folder {file.parent}", fix=f"mkdir -p {file.parent}")
    model_id = name or file.stem
    arguments = dict(_setting(each) for each in settings)
    console = screen(None)
    where = factory
    module, _, attribute = factory.rpartition(":")
    if module.endswith(".py"):
        where = f"{(file.parent / module).resolve()}:{attribute}"
    network = registry.build_from(where, arguments, model_id).eval()
    if weights is not None:
        found = fit(read_state_dict(weights), network, name=f"'{model_id}'")
        for note in found.notes:
            say(console, f"{weights}: {note}")
        network.load_state_dict(dict(found.tensors), strict=False)
    seen = draft.look_at(network, inputs, side)
    relative = os.path.relpath(weights.resolve(), file.parent.resolve()) if weights else ""
    write_text(file, draft.draft(model_id, factory, relative, arguments, seen))
    returned = ", ".join(f"{output} ({size})" for output, size in seen.outputs.items())
    say(
        console,
        f"{model_id} takes {seen.inputs} x {seen.channels}x{seen.side}x{seen.side} and returns "
        f"{returned}",
        f'wrote {file}; look at the lines marked "check", then: agecompact check {file}',
    )


def _setting(text: str) -> tuple[str, Any]:
    """A keyword argument, whose value is read as TOML, or else as text."""
    from agecompact.serialization import toml_value

    key, separator, value = text.partition("=")
    if not separator or not key.isidentifier():
        raise UsageError(f"--set needs KEY=VALUE, not '{text}'")
    return key, toml_value(value)
