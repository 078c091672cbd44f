"""Where data enter: what `fit` is given, looked at once and named."""
