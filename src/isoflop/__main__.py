"""`python -m isoflop` is `isoflop`, also where no script is on the path."""

from isoflop.cli import main

if __name__ == "__main__":
    main(prog_name="isoflop")
