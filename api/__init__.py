"""The HTTP front: OpenAI's wire shapes, the live stream, keys and errors, and the built dashboard."""
