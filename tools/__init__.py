"""Tools, one a file, and the one runner that applies their effects."""
