"""Run the command line with `python -m skmtl`."""

from skmtl._cli import main

if __name__ == "__main__":
    main()
