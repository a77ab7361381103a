"""``python -m fullconv``: the command line."""

from fullconv.apps.cli import main

main()
