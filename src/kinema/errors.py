"""The two ways a command can fail."""


class InputError(ValueError):
    """The user's mistake: the message is one line that names the value and the remedy (exit code 2)."""


class KinemaError(RuntimeError):
    """Our or the machine's failure, for example damaged built-in weights or a full disk (exit code 1)."""
