"""How closely values and gradients agree with PyTorch's, layer by layer: `python -m benchmarks.agreement`."""
