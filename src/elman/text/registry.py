"""The named corpora: their sources, licences and checksums, and the built-in ones, which need no download.

Built in are one sentence repeated (`hello`), the rooms world (`elman.text.rooms`), and a story each in English and
Korean.
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
from elman.text import rooms

HELLO = "You say goodbye and I say hello.\n" * 50
LANGUAGES: dict[str, Literal["en", "ko"]] = {"rooms": "en", "rooms-ko": "ko"}
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Dataset:
    """A named corpus with one file per split, downloaded from its URL or, if it has none, built in.

    ``size`` is in bytes, all splits together; ``files``, ``urls`` and ``sha256`` map each split to its value.
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
    """Return the corpus with this name. Raises DatasetError, suggesting similar names, if there is none."""
    try:
        return _all()[name]
    except KeyError:
        message = f"there is no corpus named {name!r}{suggestion(name)} (`elman.corpora()` lists them)"
        raise DatasetError(message) from None


def is_named(name: str) -> bool:
    """Return whether there is a corpus with this name."""
    return name in _all()


def suggestion(name: str) -> str:
    """Return "; did you mean ...?" with the corpora of similar names, or an empty string if there are none."""
    matches = get_close_matches(name, _all(), n=2)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""


@cache
def _all() -> dict[str, Dataset]:
    return {each.name: each for each in (*_PUBLISHED, *_built_in())}


_HOST = "https://raw.githubusercontent.com"
_PTB = Dataset(
    name="ptb",
    description="Penn Treebank as prepared by Mikolov: 929,589 words of news, 10,000 distinct",
    licence="LDC text, for research only",
    size=5_951_345,
    files={split: f"ptb.{split}.txt" for split in SPLITS},
    urls={split: f"{_HOST}/tomsercu/lstm/master/data/ptb.{split}.txt" for split in SPLITS},
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
    files={split: f"{split}.txt" for split in SPLITS},
    urls={
        split: f"{_HOST}/pytorch/examples/main/word_language_model/data/wikitext-2/{split}.txt"
        for split in SPLITS
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
    description = "Who came into whose room: generated {}, with known entropy"
    own = {
        "hello": ('"You say goodbye and I say hello." fifty times', len(builtin_content("hello"))),
        "rooms": (description.format("English"), 1_793_636),
        "rooms-ko": (description.format("Korean"), 2_480_000),
        "prose-en": ("A story in English", len(builtin_content("prose-en"))),
        "prose-ko": ("A story in Korean", len(builtin_content("prose-ko"))),
    }
    return [
        Dataset(name, text, "Apache-2.0, as elman itself", size, builtin_files(name))
        for name, (text, size) in own.items()
    ]


@cache
def builtin_content(name: str) -> bytes:
    """Return the text of hello, prose-en or prose-ko as UTF-8."""
    if name == "hello":
        return HELLO.encode()
    return resources.files("elman").joinpath("data", f"{name}.txt").read_bytes()


def builtin_files(name: str) -> dict[str, str]:
    """Return the file name of each split of a built-in corpus."""
    return {split: f"{split}.txt" for split in (SPLITS if name in LANGUAGES else ("train",))}


def builtin_path(name: str, split: str) -> Path:
    """Return the path at which `write_builtin` writes a split; the folder's name contains the text's version."""
    if name in LANGUAGES:
        version = str(rooms.VERSION)
    else:
        version = hashlib.sha256(builtin_content(name)).hexdigest()[:8]
    return cache_folder() / "built-in" / f"{name}-{version}" / f"{split}.txt"


def write_builtin(name: str, split: str) -> Path:
    """Write a split of a built-in corpus to the user's cache; return its path.

    Raises TextError if the cache cannot be written.
    """
    path = builtin_path(name, split)
    if name in LANGUAGES:
        with about_to_write(path):
            rooms.write_split(path, cast(Literal["train", "valid", "test"], split), LANGUAGES[name])
    else:
        with writing(path) as file:
            file.write(builtin_content(name))
    return path
