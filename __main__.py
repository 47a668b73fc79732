"""`python -m flowloom` is the `flow` command."""

import os
import sys

if __name__ == "__main__":
    # `python -m` looks for modules in the current folder first, where a repository's own typer.py would be run.
    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]

    from .cli.app import main

    main()
