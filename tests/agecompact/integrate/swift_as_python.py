"""The preprocessing of a Swift project as Python, so that it runs without a Swift compiler.

It translates the few constructs that those files use, line by line, and leaves any other as it is,
which Python then refuses. Types that round are kept: `Float` is float32, and `UInt8` refuses what
does not fit, as Swift does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

import numpy as np

_DECLARATION = re.compile(r"\b(?:public|private|let|var|final) +")
_FUNCTION = re.compile(r"func (\w+)\((.*)\)(?: -> .+)? \{$")
_PARAMETER = re.compile(r"(?:\w+ )?(\w+): [^,]+")
_STRUCT = re.compile(r"struct (\w+) \{$")
# In their order: what a rule writes, later ones may read.
_RULES = (
    (r"\bfrom\b", "from_"),
    (r"\[(\w+)\]\(repeating: (.+), count: (.+)\)$", r"[\1(\2)] * (\3)"),
    (r"\[+\w+\]+\(\)$", "[]"),
    (r"^(\w+): \[(\w+)\] = \[(.*)\]$", r"\1 = [\2(value) for value in [\3]]"),
    (r"^(\w+): (\w+) = (.+)$", r"\1 = \2(\3)"),
    (r"(\w+): (?=\S)", r"\1="),
    (r"\b(\w+)\.\.<(.+?)(?= \{$)", r"range(\1, \2)"),
    (r"&&", "and"),
    (r"= (\w+) \? (.+) : (.+)$", r"= \2 if \1 else \3"),
    (r"\b(\w+)\.count\b", r"len(\1)"),
    # Only integers are divided by one.
    (r"\b(\w+) / (\d+)\b", r"\1 // \2"),
    (r"^} else if (.+) \{$", r"elif \1:"),
    (r"^} else \{$", "else:"),
    (r"^(if|for) (.+) \{$", r"\1 \2:"),
)


@dataclass(frozen=True)
class Picture:
    """What the Swift struct of this name holds."""

    width: int
    height: int
    rgbx: Sequence[int]


def translated(sources: Sequence[Path]) -> dict[str, Any]:
    """What Swift sources define, by name."""
    code = "\n".join(_python(source.read_text()) for source in sources)
    names = {**_LIBRARY}
    exec(compile(code, "swift", "exec"), names)
    return names


def _python(source: str) -> str:
    lines: list[str] = []
    blocks: list[str] = []
    for line in _statements(source):
        if line.startswith("}"):
            blocks.pop()
        kept = line != "}" and not line.startswith("import ") and "reserveCapacity" not in line
        # Python's dataclasses have the initialiser that a public struct of Swift must write.
        if kept and "init" not in blocks and "init(" not in line:
            made = _line(line)
            if blocks and blocks[-1] == "struct":
                made = re.sub(r"^(\w+)=.+$", r"\1: object", made)
            lines.extend("    " * len(blocks) + each for each in made.split("\n"))
        if line.endswith("{"):
            kinds = ("struct ", "init(")
            blocks.append(next((kind[:-1].strip("(") for kind in kinds if kind in line), ""))
    return "\n".join(lines)


def _statements(source: str) -> list[str]:
    """Lines without comments; what parentheses hold together is one."""
    statements = [""]
    for line in source.splitlines():
        text = re.sub(r"\s*//.*", "", line).strip()
        statements[-1] = f"{statements[-1]} {text}".strip()
        opened = sum(statements[-1].count(c) for c in "([") - sum(
            statements[-1].count(c) for c in ")]"
        )
        if opened == 0 and statements[-1]:
            statements.append("")
    return [each for each in statements if each]


def _line(line: str) -> str:
    line = _DECLARATION.sub("", line)
    if found := _FUNCTION.match(line):
        parameters = ", ".join(_PARAMETER.findall(found[2]))
        return f"def {found[1]}({parameters}):"
    if found := _STRUCT.match(line):
        return f"@struct\nclass {found[1]}:"
    line = _rounded(line)
    for pattern, replacement in _RULES:
        line = re.sub(pattern, replacement, line)
    return line


def _rounded(line: str) -> str:
    """Methods of numbers as functions."""
    for method, function in ((".rounded(.toNearestOrEven)", "to_even"), (".rounded()", "away")):
        while method in line:
            end = line.index(method)
            start = end - 1
            if line[start] == ")":
                depth = 1
                while depth:
                    start -= 1
                    depth += {")": 1, "(": -1}.get(line[start], 0)
            while start and re.match(r"[\w.]", line[start - 1]):
                start -= 1
            rest = line[end + len(method) :]
            line = f"{line[:start]}{function}({line[start:end]}){rest}"
    return line


def _byte(value: Any) -> int:
    made = int(value)
    if not 0 <= made <= 255:
        raise OverflowError(f"{value} is no UInt8")
    return made


def _struct(kind: type) -> type:
    return make_dataclass(kind.__name__, list(kind.__annotations__))


_LIBRARY: dict[str, Any] = {
    "Double": float,
    "Float": np.float32,
    "Int": int,
    "Picture": Picture,
    "UInt8": _byte,
    "away": lambda value: math.floor(value + 0.5),
    "ceil": math.ceil,
    "floor": np.floor,
    "hypot": math.hypot,
    "stride": lambda from_, to, by: range(from_, to, by),
    "struct": _struct,
    "to_even": np.rint,
}
