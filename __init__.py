"""Flowloom: graph-orchestrated coding agents on your own machine and your own models."""

__version__ = "0.1.0"
