"""Subwords learnt from a text: byte-level BPE, and byte-level unigram models, as a tokenizer.json.

Words are cut before their blank, letters from digits and from other signs, so that no piece is of two words. The
same text gives the same tokenizer.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from elman.text.subword_file import library, with_end_of_line
from elman.text.unigram import train_unigram

WORDS = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"


def train_subwords(blocks: Iterable[str], kind: str, vocab_size: int) -> str:
    """Return the tokenizer.json learnt from a text in blocks of whole lines; it has at most ``vocab_size`` pieces.

    ``kind`` is "bpe" (R. Sennrich et al., 2016: the most frequent pair of pieces becomes a piece) or "unigram"
    (T. Kudo, 2018: of many pieces those stay that the text's probability needs most). ``<eos>`` and the 256 bytes
    are among the pieces, whatever the text. Memory grows with the number of distinct words only.

    Raises:
        MissingExtra: the library ``tokenizers`` is not installed.
    """
    made = _bpe(blocks, vocab_size - 1) if kind == "bpe" else _unigram(blocks, vocab_size - 1)
    return with_end_of_line(str(made.to_str()), "the new tokenizer")


def _tokenizer(model: Any) -> Any:
    """Return a byte-level tokenizer with a model of pieces."""
    hf = library()
    made = hf.Tokenizer(model)
    made.pre_tokenizer = hf.pre_tokenizers.Sequence(
        [
            hf.pre_tokenizers.Split(hf.Regex(WORDS), "isolated"),
            hf.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = hf.decoders.ByteLevel()
    return made


def _bpe(blocks: Iterable[str], size: int) -> Any:
    hf = library()
    made = _tokenizer(hf.models.BPE())
    trainer = hf.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        initial_alphabet=sorted(hf.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator((block.split("\n") for block in blocks), trainer)
    return made


def _unigram(blocks: Iterable[str], size: int) -> Any:
    models = library().models
    divider = _tokenizer(models.BPE()).pre_tokenizer
    counts = Counter(_words(blocks, divider))
    scores = train_unigram(counts, size)
    return _tokenizer(models.Unigram(scores, None, False))


def _words(blocks: Iterable[str], divider: Any) -> Iterator[str]:
    """Yield the words of a text, each byte of theirs as its character."""
    for block in blocks:
        for line in block.split("\n"):
            for word, _ in divider.pre_tokenize_str(line):
                yield word
