"""Projects of these networks: a project file, the code and an ordinary `.pth` in a folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from agecompact.models import project
from parity_tests import inputs
from tests.own import nets

_COLOUR = """
height = 64
width = 64
color_order = "RGB"
value_range = [0.0, 1.0]
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
"""

_YEARS = '[[outputs]]\nname = "age"\nunit = "years"\n'

# Random networks magnify rounding more than trained ones do.
_LOOSE_FLOAT16 = """
[[tolerances]]
precision = "float16"
max = 0.5
p99 = 0.5
mean = 0.2
searched = 1.0
reason = "images of one colour cost it more than faces do"
"""


@dataclass(frozen=True)
class Own:
    """A network of a user's own.

    Attributes:
        network: Its class, in `nets`.
        input: The table `[input]`.
        outputs: The tables `[[outputs]]`.
        spread: Standard deviation of the last layer's values over faces.
        unit: Unit of the error that a fault of the last layer causes.
    """

    network: type[nn.Module]
    input: str
    outputs: str
    spread: float
    unit: str


OWN: Mapping[str, Own] = {
    "mobile": Own(
        nets.Mobile,
        _COLOUR,
        '[[outputs]]\nname = "age"\nunit = "years"\nreading = { scale = 100.0 }\n' + _LOOSE_FLOAT16,
        0.08,
        "years",
    ),
    "residual": Own(nets.Residual, _COLOUR, _YEARS + _LOOSE_FLOAT16, 15.0, "years"),
    "bottlenecks": Own(nets.Bottlenecks, _COLOUR, _YEARS + _LOOSE_FLOAT16, 15.0, "years"),
    "bins": Own(
        nets.Bins,
        _COLOUR,
        '[[outputs]]\nname = "age"\nunit = "years"\nsize = 101\n'
        'reading = { kind = "softmax-expectation" }\n' + _LOOSE_FLOAT16,
        1.0,
        "years",
    ),
    "heads": Own(
        nets.TwoHeads,
        _COLOUR,
        '[[outputs]]\nname = "age"\nunit = "years"\n'
        '[[outputs]]\nname = "gender"\nunit = "score"\nreading = { kind = "sigmoid" }\n'
        + _LOOSE_FLOAT16,
        5.0,
        "score",
    ),
    "pose": Own(
        nets.Pose,
        _COLOUR,
        '[[outputs]]\nname = "pose"\nunit = "degrees"\nsize = 3\n'
        'labels = ["yaw", "pitch", "roll"]\n',
        15.0,
        "degrees",
    ),
    "grey": Own(
        nets.Grey,
        'height = 48\nwidth = 48\ncolor_order = "GREY"\nvalue_range = [-1.0, 1.0]\n',
        '[[outputs]]\nname = "mood"\nunit = "class"\nsize = 7\n'
        'labels = ["anger", "disgust", "fear", "joy", "sorrow", "surprise", "none"]\n'
        'reading = { kind = "argmax" }\n',
        1.0,
        "logits",
    ),
}


def write(folder: Path, name: str) -> Path:
    """Writes a project into a folder, with weights whose answers vary over faces.

    Returns:
        The project file.
    """
    own = OWN[name]
    shutil.copy(Path(nets.__file__), folder / "nets.py")
    file = folder / f"{name}.toml"
    file.write_text(
        f'schema_version = 1\nname = "{name}"\nfactory = "nets.py:{own.network.__name__}"\n'
        f'weights = "best.pth"\nterms = "Random weights, free to use."\n\n[input]\n{own.input}\n'
        f"{own.outputs}"
    )
    (folder / "best.pth").touch()
    torch.manual_seed(0)
    network = own.network().eval()
    contract = project.read(file).spec.contract
    faces = [sample for sample in inputs.standard(contract) if sample.kind == "face"]
    batch = torch.from_numpy(
        np.ascontiguousarray(contract.stack([face.crops["face"] for face in faces]))
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
            module.momentum = None
    seen: list[torch.Tensor] = []
    head = network.get_submodule("head")
    head.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        network(batch)
        network.eval()
        network(batch)
        scale = own.spread / seen[-1].std(0)
        head.get_parameter("weight").mul_(scale[:, None])
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"epoch": 9, "state_dict": state}, folder / "best.pth")
    return file
