"""Why the stack cannot run: shown to the user as they are, without a stack trace."""


class StackError(RuntimeError):
    """The stack cannot start or go on; the message says why and what to do."""
