"""Runs: the store, checkpoints, journal, and the runner that starts and resumes them."""
