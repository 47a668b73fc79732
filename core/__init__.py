"""Words everyone shares: data types, ports, errors. Imports nothing of ours."""
