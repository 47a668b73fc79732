"""Edits as models make them, damaged in known ways, from the real history of public repositories."""
