"""What a fitted model is for: predictions, effects, influence, calibration."""
