"""`python -m neurosparse.cli`."""

from neurosparse.cli import main

if __name__ == "__main__":
    main()
