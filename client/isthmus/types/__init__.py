"""What the service answers with and takes, as types; lenient: what a later service adds is kept."""
