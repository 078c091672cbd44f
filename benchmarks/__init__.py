"""Time minigrad beside its peers: `python -m benchmarks`."""
