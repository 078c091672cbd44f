"""What an estimate says: errors, intervals, tests."""
