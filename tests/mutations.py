"""Seeded mutations of valid files, for tests of their readers.

Each generator yields the same mutants for the same content, seed and number.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

_DEEP = 50_000
_DIGITS = 5_000
# Placed by text, since Python's JSON would not write them.
_MARK = "@mutation@"

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2, 2**31, -(2**63), 10**40, 0.5, -0.0, 1e308, -1e-308),
    *("", "x", " ", "\0", "\x1b[31m\n", "../../x", "/etc/passwd", "☃" * 300, "1", "nan"),
    *([], {}, [[]], [None], [0] * 50, {"": {}}, {"a": 1}, ["a", "a"]),
)
_JSON_TEXTS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * _DIGITS, f"0.{'9' * _DIGITS}"),
    *("[" * _DEEP, '{"a":' * _DEEP, "[" * _DEEP + "]" * _DEEP, '{"a":' * 900 + "1" + "}" * 900),
    *(r'"\ud800"', r'"\udcff x"', r'"\ud83d\ude00"', '{"a": 1, "a": 2}', "tru", "'x'", ""),
    '"' + "x" * 100_000 + '"',
)
_TOML_TEXTS = (
    *("nan", "inf", "-inf", "1e999", "9" * _DIGITS, "-1", "0", "0.5", "true", '""', '"x"', "[]"),
    *("{}", "[[]]", "{a = 1}", "1979-05-27", "1979-05-27T07:32:00Z", "07:32:00", '"\\u0000"'),
    *("[" * _DEEP, "[" * 500 + "]" * 500, "{a = " * 500 + "1" + "}" * 500, '"\\ud800"', "0x1F", ""),
    *('"\\u001b[31m"', "10" * 20, '"../x"', "'''a\nb'''"),
)
_WORDS = (
    *(
        "0",
        "-1",
        "1",
        "1e999",
        "-1e999",
        "nan",
        "inf",
        "9" * _DIGITS,
        "9" * 40,
        "0x1p+9999",
        "",
        "x",
    ),
    *("٣", "²", "1_000", "0.0.0", "\x1b[31m", "\0", "\udcff", "\u2028", "true", "1e-999", "  "),
)


def json_mutants(content: bytes, number: int, seed: int = 0) -> Iterator[bytes]:
    """Mutants of JSON: types swapped, keys dropped or doubled, deep, huge, broken."""
    source = random.Random(seed)
    for index in range(number):
        value = json.loads(content)
        if index % 5 == 4:
            yield _bytes_mutant(content, source)
            continue
        holder, key = _place(value, source)
        choice = source.randrange(5)
        if holder is None:
            text = source.choice(_JSON_TEXTS)
            yield text.encode("utf-8", "surrogatepass")
        elif choice == 0:
            del holder[key]
            yield json.dumps(value).encode()
        elif choice == 1 and isinstance(holder, dict):
            holder[source.choice(("added", "", "\x1b[31m", str(key).upper()))] = holder[key]
            yield json.dumps(value).encode()
        elif choice == 2:
            holder[key] = _MARK
            text = source.choice(_JSON_TEXTS)
            yield json.dumps(value).replace(f'"{_MARK}"', text).encode()
        elif choice == 3 and isinstance(holder, list):
            holder.extend([holder[key]] * source.choice((1, 1000)))
            yield json.dumps(value).encode()
        else:
            holder[key] = source.choice(_VALUES)
            yield json.dumps(value).encode()


def toml_mutants(content: bytes, number: int, seed: int = 0) -> Iterator[bytes]:
    """Mutants of TOML: values of other types, lines dropped or doubled, deep, huge, broken."""
    source = random.Random(seed)
    lines = content.decode().splitlines()
    values = [i for i, line in enumerate(lines) if re.match(r"[\w.\"-]+ *= *", line)]
    for index in range(number):
        changed = list(lines)
        at = source.choice(values)
        if index % 5 == 4:
            yield _bytes_mutant(content, source)
            continue
        choice = source.randrange(4)
        if choice == 0:
            del changed[at]
        elif choice == 1:
            changed.insert(at, changed[source.randrange(len(changed))])
        else:
            changed[at] = f"{changed[at].partition('=')[0]}= {source.choice(_TOML_TEXTS)}"
        yield "\n".join(changed).encode("utf-8", "surrogatepass")


def text_mutants(content: bytes, number: int, seed: int = 0) -> Iterator[bytes]:
    """Mutants of a log or a table: words and numbers replaced, lines dropped, doubled or cut."""
    source = random.Random(seed)
    text = content.decode()
    words = [match.span() for match in re.finditer(r"[\w.+-]+", text)]
    lines = text.splitlines(keepends=True)
    for index in range(number):
        if index % 4 == 3:
            yield _bytes_mutant(content, source)
        elif index % 4 == 2:
            changed = list(lines)
            at = source.randrange(len(changed))
            changed[at : at + 1] = source.choice(([], [changed[at]] * 2, [changed[at][::-1]]))
            yield "".join(changed).encode()
        else:
            start, end = source.choice(words)
            word = source.choice(_WORDS)
            yield (text[:start] + word + text[end:]).encode("utf-8", "surrogatepass")


def binary_mutants(content: bytes, number: int, seed: int = 0) -> Iterator[bytes]:
    """Mutants of any file: bits flipped, cut, blocks zeroed, lengths replaced."""
    source = random.Random(seed)
    for _ in range(number):
        yield _bytes_mutant(content, source)


def _place(value: Any, source: random.Random) -> tuple[Any, Any]:
    """A container in a JSON value and a key of it; None for the value itself."""
    places: list[tuple[Any, Any]] = [(None, None)]

    def visit(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in items:
            places.append((node, key))
            if isinstance(child, dict | list):
                visit(child)

    if isinstance(value, dict | list):
        visit(value)
    return source.choice(places)


def _bytes_mutant(content: bytes, source: random.Random) -> bytes:
    changed = bytearray(content)
    # Headers are at the start, directories of archives at the end.
    size = len(changed)
    reach = source.choice((64, 1024, size)) if size else 0
    at = source.randrange(min(reach, size)) if size else 0
    at = size - 1 - at if source.random() < 0.2 and size else at
    mutate: Callable[[], None] = source.choice(
        (
            lambda: changed.__setitem__(at, changed[at] ^ (1 << source.randrange(8))),
            lambda: changed.__setitem__(at, source.randrange(256)),
            lambda: changed.__delitem__(slice(at, None)),
            lambda: changed.__delitem__(slice(at, at + source.choice((1, 8, 64)))),
            lambda: changed.__setitem__(slice(at, at + 64), bytes(min(64, size - at))),
            lambda: changed.__setitem__(slice(at, at), source.randbytes(8)),
            lambda: changed.__setitem__(slice(at, at + 4), _length(4, source)),
            lambda: changed.__setitem__(slice(at, at + 8), _length(8, source)),
        )
    )
    if size:
        mutate()
    return bytes(changed)


def _length(width: int, source: random.Random) -> bytes:
    value = source.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2 ** (8 * width) - 1, 2**40))
    value %= 2 ** (8 * width)
    return value.to_bytes(width, source.choice(("little", "big")))
