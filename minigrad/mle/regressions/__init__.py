"""Linear units under a softmax, a sigmoid or an exponential mean, by formulas."""
