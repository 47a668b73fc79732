"""`python -m flowloom` is the `flow` command."""

from .cli.app import main

if __name__ == "__main__":
    main()
