"""Writes a report as a comment on a pull request, in place of the one of an earlier run.

Run by action.yml as `comment.py NUMBER MODEL REPORT`, with `TOKEN`, `GITHUB_API_URL` and
`GITHUB_REPOSITORY` in the environment. It needs only Python, since a job in a container may have
neither gh nor curl. Where it may not write, it warns and does not fail: a pull request from a fork
has no right to.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PER_PAGE = 100
_TIMEOUT_S = 60
# GitHub refuses longer ones.
_LONGEST = 65_000


def main(number: str, model: str, report: str) -> None:
    """Writes the comment, or warns that it cannot."""
    # Hidden in the comment, so that the next run finds it; each model has a comment of its own.
    mark = f"<!-- agecompact: {model.replace('--', '- -')} -->"
    body = f"{mark}\n{Path(report).read_text(encoding='utf-8')}"[:_LONGEST]
    issues = f"repos/{os.environ['GITHUB_REPOSITORY']}/issues"
    try:
        earlier = next(_marked(f"{issues}/{int(number)}/comments", mark), None)
        if earlier is None:
            _call("POST", f"{issues}/{int(number)}/comments", {"body": body})
        else:
            _call("PATCH", f"{issues}/comments/{int(earlier)}", {"body": body})
    except urllib.error.HTTPError as error:
        _warn(f"{error}; the job needs 'permissions: pull-requests: write'")
    except OSError as error:
        _warn(str(error))


def _marked(comments: str, mark: str) -> Iterator[int]:
    """Numbers of the comments that begin with the mark."""
    page = 1
    while found := _call("GET", f"{comments}?per_page={_PER_PAGE}&page={page}"):
        yield from (each["id"] for each in found if (each["body"] or "").startswith(mark))
        page += 1


def _call(method: str, path: str, content: dict[str, str] | None = None) -> Any:
    request = urllib.request.Request(
        f"{os.environ['GITHUB_API_URL']}/{path}",
        data=json.dumps(content).encode() if content else None,
        method=method,
        headers={
            "Authorization": f"Bearer {os.environ['TOKEN']}",
            "Accept": "application/vnd.github+json",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
        return json.load(reply)


def _warn(why: str) -> None:
    print(f"::warning title=agecompact::the report is not on the pull request: {why}")


if __name__ == "__main__":
    main(*sys.argv[1:])
