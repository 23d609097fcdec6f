"""`python -m vivace` is the command `vivace`."""

from vivace.cli import main

if __name__ == "__main__":
    main()
