"""The inference process: answers the chat requests of the queue, with one base model at a time."""
