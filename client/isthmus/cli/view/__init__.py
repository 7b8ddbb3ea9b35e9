"""What the command line shows: pure functions from data to text and rich's renderables."""
