"""Measurements against the project's own limits: `make bench`. Not shipped."""
