"""What the service around the trainer costs: a job in the service beside the engine alone."""
