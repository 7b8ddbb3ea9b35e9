"""Training methods: what the engine's steps minimise."""
