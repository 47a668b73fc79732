"""Settings, their loading, and the trust store."""
