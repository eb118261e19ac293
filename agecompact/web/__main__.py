"""`python -m agecompact.web [FOLDER]`: fetches what `package.json` in a folder lists.

Without a folder, it fetches the runtimes, and says which browser would run them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from agecompact.errors import AgecompactError
from agecompact.web import tools


def main() -> int:
    """The exit code."""
    try:
        print(*(tools.packages(Path(each)) for each in sys.argv[1:]), sep="\n")
        print(tools.packages(), tools.chromium(), sep="\n")
    except AgecompactError as missing:
        print(f"error: {missing}", file=sys.stderr)
        return int(missing.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
