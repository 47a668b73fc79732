"""What becomes of a run when a model server fails: every fault, at every agent, over both APIs."""
