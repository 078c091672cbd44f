"""Any other stack, from the three rules of its layers."""
