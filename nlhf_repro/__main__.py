"""`python -m nlhf_repro` is `nlhf`."""

from nlhf_repro.cli import main

if __name__ == "__main__":
    main()
