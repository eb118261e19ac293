"""`python -m agecompact`."""

from agecompact.cli import main

if __name__ == "__main__":
    main()
