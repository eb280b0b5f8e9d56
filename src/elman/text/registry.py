"""The named corpora: where they come from and what may be done with them.

Corpora that need no download: a sentence, the rooms world, and stories in two languages.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal, cast

from elman.errors import DatasetError
from elman.files import about_to_write, cache_folder, writing

HELLO = "You say goodbye and I say hello.\n" * 50
LANGUAGES: dict[str, Literal["en", "ko"]] = {"rooms": "en", "rooms-ko": "ko"}


@cache
def content(name: str) -> bytes:
    """Return hello, prose-en or prose-ko as UTF-8."""
    if name == "hello":
        return HELLO.encode()
    return resources.files("elman").joinpath("data", f"{name}.txt").read_bytes()


def files(name: str) -> dict[str, str]:
    """Return the file name of each split that a built-in corpus has."""
    return {
        split: f"{split}.txt" for split in (("train", "valid", "test") if name in LANGUAGES else ("train",))
    }


def path_of(name: str, split: str) -> Path:
    """Return where a built-in corpus lies once it is made; its folder bears the version of the text."""
    return cache_folder() / "built-in" / f"{name}-{_version(name)}" / f"{split}.txt"


def _version(name: str) -> str:
    if name not in LANGUAGES:
        return hashlib.sha256(content(name)).hexdigest()[:8]
    from elman.text import rooms

    return str(rooms.VERSION)


def make(name: str, split: str) -> Path:
    """Write a split of a built-in corpus to the user's cache; return where it is.

    Raises TextError where the cache cannot be written.
    """
    path = path_of(name, split)
    if name in LANGUAGES:
        from elman.text import rooms

        with about_to_write(path):
            rooms.write_split(path, cast(Literal["train", "valid", "test"], split), LANGUAGES[name])
    else:
        with writing(path) as file:
            file.write(content(name))
    return path


@dataclass(frozen=True)
class Dataset:
    """A named corpus: one file for each split, fetched from its URL or, if there is none, built in.

    ``size`` is in bytes, all splits together; ``files``, ``urls`` and ``sha256`` are by split.
    """

    name: str
    description: str
    licence: str
    size: int
    files: Mapping[str, str]
    urls: Mapping[str, str] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def built_in(self) -> bool:
        """Whether the corpus comes with elman."""
        return not self.urls


def datasets() -> list[Dataset]:
    """Return every named corpus."""
    return list(_all().values())


def named(name: str) -> Dataset:
    """Return the corpus of a name. Raises DatasetError for an unknown one, with names like it."""
    try:
        return _all()[name]
    except KeyError:
        message = f"there is no corpus named {name!r}{like(name)} (`elman data` lists them)"
        raise DatasetError(message) from None


def is_named(name: str) -> bool:
    """Tell whether there is a corpus of this name."""
    return name in _all()


def like(name: str) -> str:
    """Return a question that names the corpora whose names are close to this one, or nothing."""
    matches = get_close_matches(name, _all(), n=2)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""


@cache
def _all() -> dict[str, Dataset]:
    return {each.name: each for each in (*_PUBLISHED, *_built_in())}


_HOST = "https://raw.githubusercontent.com"
_SPLITS = ("train", "valid", "test")
_PTB = Dataset(
    name="ptb",
    description="Penn Treebank as prepared by Mikolov: 929,589 words of news, 10,000 distinct",
    licence="LDC text, for research only",
    size=5_951_345,
    files={split: f"ptb.{split}.txt" for split in _SPLITS},
    urls={split: f"{_HOST}/tomsercu/lstm/master/data/ptb.{split}.txt" for split in _SPLITS},
    sha256={
        "train": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
        "valid": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
        "test": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
    },
)
_WIKITEXT_2 = Dataset(
    name="wikitext-2",
    description="WikiText-2: 2,088,628 words of encyclopedia articles, 33,278 distinct",
    licence="CC BY-SA",
    size=13_175_278,
    files={split: f"{split}.txt" for split in _SPLITS},
    urls={
        split: f"{_HOST}/pytorch/examples/main/word_language_model/data/wikitext-2/{split}.txt"
        for split in _SPLITS
    },
    sha256={
        "train": "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
        "valid": "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
        "test": "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
    },
)
_TINYSHAKESPEARE = Dataset(
    name="tinyshakespeare",
    description="Shakespeare's plays: 1,115,394 characters, 65 distinct",
    licence="public domain",
    size=1_115_394,
    files={"train": "input.txt"},
    urls={"train": f"{_HOST}/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"},
    sha256={"train": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
)
_KAFKA = Dataset(
    name="kafka",
    description="Kafka's Metamorphosis in English: 137,628 characters, 80 distinct",
    licence="Project Gutenberg licence, in the file; the translation is under copyright",
    size=137_629,
    files={"train": "kafka.txt"},
    urls={"train": f"{_HOST}/llSourcell/recurrent_neural_network/master/kafka.txt"},
    sha256={"train": "836497d1e5a47b1744e68da78822e8af19ddadc565e3a09fde348f300e14ec78"},
)
_PUBLISHED = (_PTB, _WIKITEXT_2, _TINYSHAKESPEARE, _KAFKA)


def _built_in() -> list[Dataset]:
    rooms = "Who came into whose room: generated {}, of known entropy"
    own = {
        "hello": ('"You say goodbye and I say hello." fifty times', len(content("hello"))),
        "rooms": (rooms.format("English"), 1_793_636),
        "rooms-ko": (rooms.format("Korean"), 2_480_000),
        "prose-en": ("A story in English", len(content("prose-en"))),
        "prose-ko": ("A story in Korean", len(content("prose-ko"))),
    }
    return [
        Dataset(name, description, "Apache-2.0, as elman itself", size, files(name))
        for name, (description, size) in own.items()
    ]
