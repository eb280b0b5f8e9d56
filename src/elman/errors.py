"""The exceptions of elman; messages say what was wrong, where, and what to do next."""


class ElmanError(Exception):
    """Base of all errors that a user can cause; the command line prints it in one line and exits with 1."""


class ShapeError(ElmanError, ValueError):
    """An array has the wrong shape; the message gives both shapes."""


class TextError(ElmanError):
    """A text cannot be read: missing, empty, too short or not in the encoding."""


class VocabularyError(ElmanError):
    """Tokens, ids and vocabulary do not fit together."""


class DatasetError(ElmanError):
    """A named corpus is unknown, cannot be fetched, or does not match its checksum."""


class ModelFileError(ElmanError):
    """A model file is missing, truncated, not elman's, or of a kind that does not fit the request."""


class ConfigError(ElmanError):
    """An option or a recipe value is unknown, out of range, or contradicts another one."""


class TrainingDiverged(ElmanError):
    """The loss became NaN or exploded; the message names the iteration, the gradient norm and remedies."""


class RunError(ElmanError):
    """A run folder exists already, cannot be written, or cannot be resumed."""


class FailedElsewhere(RunError):
    """Another process of a training has failed in a task of all of them; that process raises what went wrong."""


class MissingExtra(ElmanError):
    """An optional library is not installed; the message names the extra that provides it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; type: pip install 'elman[{extra}]'")
        self._missing = library, extra

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str]]:
        """Pickle the two arguments, so that the error can come from another process."""
        return type(self), self._missing
