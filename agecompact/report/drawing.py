"""Charts as SVG, drawn by Vega without a browser and without a network."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from agecompact.imports import import_extra

_EXTRA = "report"
_NAMESPACE = re.compile(r"^\{[^}]*\}")
# What the picture as a whole says of itself is enough.
_DROPPED = re.compile(r"^(?:\{.*|role|class|version|width|height|aria-.*|pointer-events)$")


def svg(spec: Mapping[str, Any], *, title: str, description: str, name: str) -> str:
    """A chart as an SVG element for HTML, which a screen reader takes for one picture.

    Args:
        spec: The chart, in Vega-Lite.
        title: What it shows.
        description: What to see in it.
        name: Prefix of its ids.

    Raises:
        BackendMissingError: The extra that draws is not installed.
    """
    renderer = import_extra("vl_convert", _EXTRA)
    root = ET.fromstring(renderer.vegalite_to_svg(json.dumps(spec)))
    width = root.get("width", "300")
    for element in root.iter():
        element.tag = _NAMESPACE.sub("", element.tag)
        for key in [key for key in element.attrib if _DROPPED.match(key)]:
            del element.attrib[key]
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        child = ET.Element(tag, id=f"{name}-{tag}")
        child.text = text
        root.insert(place, child)
    root.attrib |= {
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
        # As wide as it was drawn, or as the page.
        "style": f"width:{width}px",
    }
    return ET.tostring(root, encoding="unicode")
