"""`python -m trueframe`."""

from trueframe.cli import main

main()
