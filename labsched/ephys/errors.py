"""The one error that the science raises for what a person can mend."""


class EphysError(Exception):
    """Something is wrong with the data, the probe or the request; the message is a sentence that says what to do."""

    exit_code = 1


class Killed(EphysError):
    """Something killed a process of ours, as the kernel does for want of memory; the exit code is a shell's."""

    exit_code = 137
