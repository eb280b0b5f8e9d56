"""How many words a text has, whatever its tokens: what stands between blanks."""

import codecs


class WordCount:
    """Counts the words of a text that comes in pieces."""

    def __init__(self) -> None:
        self.words = 0
        self._within = False  # a word that the next piece may go on with
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, text: str) -> None:
        """Count the words of one more piece."""
        if text:
            self.words += len(text.split()) - (self._within and not text[0].isspace())
            self._within = not text[-1].isspace()

    def add_bytes(self, raw: bytes) -> None:
        """Count the words of one more piece, as UTF-8."""
        self.add(self._utf8.decode(raw))
