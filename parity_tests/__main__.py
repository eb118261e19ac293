"""`python -m parity_tests --build build`: the gate as a pytest suite, wherever it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

from agecompact.imports import import_extra


def main() -> None:
    """Runs pytest on the suite; all arguments are pytest's, or the suite's own."""
    pytest = import_extra("pytest", "dev")
    # The suite's folder may be read-only: nothing is kept there.
    fixed = [str(Path(__file__).parent), "--rootdir", str(Path.cwd()), "-p", "no:cacheprovider"]
    sys.exit(pytest.main([*fixed, *sys.argv[1:]]))


if __name__ == "__main__":
    main()
