"""Draw docs/images/architecture.svg, the packages and their imports: run ``python docs/make_architecture.py``.

The arrows come from the import statements in src/elman. An arrow that follows from others is left out: a package
may also import whatever can be reached from it along the arrows.
"""

import ast
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

SOURCE = Path(__file__).parents[1] / "src" / "elman"
PICTURE = Path(__file__).parent / "images" / "architecture.svg"
BASE = (
    "errors",
    "environment",
    "language",
    "catalogue",
    "results",
    "one_line",
    "parsing",
    "files",
    "workers",
    "arrays",
    "numba_jit",
    "matmul_precision",
    "bfloat16",
    "backend",
)
PLACES = {  # the middle of each box; a new package needs one
    "cli": (0, 9),
    "api": (0, 8),
    "gradcheck": (-4.2, 7),
    "serving": (-2.5, 7),
    "recording": (-0.75, 7),
    "benchmark": (1.4, 7),
    "rescoring": (3.4, 7),
    "training": (1.4, 6),
    "figures": (3.9, 8),
    "web": (-3.2, 5.4),
    "inspection": (-0.3, 5.4),
    "kenlm_compat": (4.1, 5),
    "text_model": (1.4, 4),
    "plots": (3.2, 4),
    "generation": (-1.9, 3),
    "evaluation": (0, 3),
    "formats": (1.9, 3),
    "models": (0, 2),
    "layers": (-0.95, 1),
    "text": (0.95, 1),
    "base": (0, 0),
}
WIDTH, BASE_WIDTH, HEIGHT = 1.5, 10.4, 0.5

Arrows = set[tuple[str, str]]


def main() -> None:
    """Write the picture, the same bytes every time."""
    arrows = reduced(package_imports())
    settings = {"svg.hashsalt": "elman", "svg.fonttype": "none", "font.size": 11}
    with mpl.rc_context(settings):
        draw(arrows).savefig(PICTURE, metadata={"Date": None, "Creator": None})


def package_imports() -> Arrows:
    """Return (importer, imported) for packages of elman; the modules of BASE count as the one package `base`."""
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        importer = path.relative_to(SOURCE).with_suffix("").parts[0]
        if importer.startswith("__"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for name in _imported(node):
                found.add((_package(importer), _package(name)))
    return {(importer, imported) for importer, imported in found if importer != imported}


def _imported(node: ast.AST) -> list[str]:
    """Return the packages of elman that a statement imports from."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module == "elman":
        names = [f"elman.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [str(node.module)]
    else:
        return []
    parts = [name.split(".") for name in names]
    return [part[1] for part in parts if part[0] == "elman" and len(part) > 1 and part[1] != "__version__"]


def _package(name: str) -> str:
    return "base" if name in BASE else name


def below(arrows: Arrows, name: str) -> set[str]:
    """Return all that can be reached from a package."""
    found: set[str] = set()
    for importer, imported in arrows:
        if importer == name:
            found |= {imported} | below(arrows, imported)
    return found


def reduced(arrows: Arrows) -> Arrows:
    """Return the arrows that do not follow from others."""
    reach = {name: below(arrows, name) for arrow in arrows for name in arrow}
    return {
        (a, b) for a, b in arrows if not any(b in reach[c] for other, c in arrows if other == a and c != b)
    }


def draw(arrows: Arrows) -> Figure:
    """Return the picture: a box for each package, an arrow from each to what it imports."""
    figure = Figure(figsize=(10.4, 8.6))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.set_xlim(-5.3, 5.3)
    axes.set_ylim(-0.45, 9.45)
    for name, (x, y) in PLACES.items():
        width = BASE_WIDTH if name == "base" else WIDTH
        box = mpl.patches.FancyBboxPatch(
            (x - width / 2, y - HEIGHT / 2), width, HEIGHT, boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="#f4f6fb", edgecolor="#3b4a6b", zorder=2,
        )  # fmt: skip
        axes.add_patch(box)
        axes.text(x, y, ", ".join(BASE) if name == "base" else name, ha="center", va="center", zorder=3)
    for importer, imported in sorted(arrows):
        (x, y), (to_x, to_y) = PLACES[importer], PLACES[imported]
        arrow = mpl.patches.FancyArrowPatch(
            (x, y - HEIGHT / 2), (x if imported == "base" else to_x, to_y + HEIGHT / 2), arrowstyle="-|>",
            mutation_scale=9, shrinkA=0, shrinkB=1, color="#7a869f", zorder=1, gid=f"{importer} imports {imported}",
        )  # fmt: skip
        axes.add_patch(arrow)
    return figure


if __name__ == "__main__":
    main()
