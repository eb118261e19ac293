"""How a tool's output can be of no use."""

from __future__ import annotations

from typing import Literal

FailureKind = Literal["truncated", "contradictory", "failed"]


class UnreadableOutputError(Exception):
    """The output holds no figure that can be used.

    Attributes:
        kind: `truncated` lacks what a whole run prints, `contradictory` says two things of one
            figure, `failed` is the tool's own word.
        reason: What is missing, or what the tool said.
    """

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
