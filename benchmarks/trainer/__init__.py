"""The trainer beside the tools that people use instead: speed, memory and quality on one machine."""
