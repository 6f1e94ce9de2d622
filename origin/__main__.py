"""`python -m origin`."""

from origin.cli import main

main()
