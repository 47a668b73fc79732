"""Node types: the agent loop and everything a graph file may name."""
