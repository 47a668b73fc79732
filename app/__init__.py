"""The composition root: the only place that builds concrete objects from settings."""
