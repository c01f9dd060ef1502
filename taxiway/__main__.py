"""`python -m taxiway`: the command line."""

from taxiway.cli import main

main()
