"""`python -m isthmus.cli` is `isthmus`."""

from isthmus.cli import main

main()
