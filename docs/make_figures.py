"""Draw docs/images/figures/{en,ko}/*.svg, the figures of the tutorial: run ``python docs/make_figures.py``."""

from pathlib import Path

from elman import figures
from elman.figures.drawing import LANGUAGES

FOLDER = Path(__file__).parent / "images" / "figures"


def path(name: str, lang: str) -> Path:
    """Return the file of a figure."""
    return FOLDER / lang / f"{name}.svg"


def main() -> None:
    """Draw all figures in all languages."""
    for lang in LANGUAGES:
        (FOLDER / lang).mkdir(parents=True, exist_ok=True)
        for name in figures.NAMES:
            figures.chapter(name, lang=lang).save(path(name, lang))
    print(FOLDER)


if __name__ == "__main__":
    main()
