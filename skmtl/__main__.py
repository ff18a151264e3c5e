"""`python -m skmtl`, the command line."""

from skmtl._cli import main

if __name__ == "__main__":
    main()
