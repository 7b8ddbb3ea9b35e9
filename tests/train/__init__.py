"""Training runs on tiny random models."""
