"""``python -m fullconv``: the command line."""

from fullconv.cli.main import main

main()
