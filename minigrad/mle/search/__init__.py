"""The maximum of a likelihood, and how many of its digits can be relied on."""
