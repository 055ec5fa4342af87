"""The errors that are written for the person who meets them."""

from __future__ import annotations


class HyperPerturbError(ValueError):
    """Something a person can mend: a file, a name, a setting.

    The message is one or two sentences: what is wrong, where (file, column, gene, row), what to do next.
    The command line prints it without a traceback and the app shows it as it is.

    Parameters
    ----------
    message
        What is wrong and where.
    hint
        What to do next; appended to the message.

    Examples
    --------
    >>> print(HyperPerturbError("The file 'a.h5ad' has no cells.", hint="Choose another file."))
    The file 'a.h5ad' has no cells. Choose another file.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message} {hint}".strip())
