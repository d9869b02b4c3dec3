"""The command line, as `python -m neurosparse`."""

from neurosparse.cli import main

if __name__ == "__main__":
    main()
