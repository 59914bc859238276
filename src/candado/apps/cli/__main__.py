"""``python -m candado.apps.cli``."""

from candado.apps.cli import main

main()
