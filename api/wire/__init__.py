"""The wire's shapes: what goes in and out as JSON, and how rows become it."""
