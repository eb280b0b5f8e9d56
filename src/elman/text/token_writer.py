"""Token ids to text, one at a time, with a name for each token.

Used wherever tokens are listed next to a text: by the server's answers and by recorded pages.
"""

from elman.text.decoders import JamoDecoder
from elman.text.tokenizers import EOS, PieceTokenizer, Tokenizer
from elman.text.vocabulary import Vocabulary


class TokenWriter:
    """Decodes ids one by one and names them. A token's name is its text, where it has a text of its own."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
        self._tokenizer, self._vocabulary = tokenizer, vocabulary
        self._decoder = tokenizer.decoder()
        self._separator = ""  # between the last word and the next

    def push(self, id_: int) -> tuple[str, str]:
        """Return the token's name and the text that it completes."""
        token = self._vocabulary.tokens[id_]
        name = self.name(id_)
        if self._tokenizer.level == "word":
            self._separator = "" if token == EOS else " "
        return name, self._decoder.push(token)

    def name(self, id_: int) -> str:
        """Return the name that a token would have if it came next. Different tokens have different names."""
        token = self._vocabulary.tokens[id_]
        if token == EOS:
            return "\n"
        if isinstance(self._tokenizer, PieceTokenizer):
            return self._tokenizer.readable(token)
        if self._tokenizer.level == "byte":
            return token if token.isascii() else f"bytes:\\x{ord(token):02x}"
        return self._separator + token if self._tokenizer.level == "word" else token

    def held_before(self, id_: int) -> int:
        """Return how many characters that are held back precede the first one of a token, if it came next."""
        decoder = self._decoder
        return decoder.held_before(self._vocabulary.tokens[id_]) if isinstance(decoder, JamoDecoder) else 0

    def finish(self) -> str:
        """Return the text that was held back, such as a syllable that a final could have joined."""
        return self._decoder.finish()
