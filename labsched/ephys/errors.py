"""The one error that the science raises for what a person can mend."""


class EphysError(Exception):
    """Something is wrong with the data, the probe or the request; the message is a sentence that says what to do."""
