"""The documentation as a site: one build for each language, ``-t en`` and ``-t ko`` (see the Makefile)."""

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

import elman

DOCS = Path(__file__).parent
OTHER = {"en": "ko", "ko": "en"}
NAMES = {"en": "English", "ko": "한국어"}
# pages that show a file of the repository's root, which is in English only
ROOT_FILES = {
    name.lower(): DOCS.parent / f"{name}.md" for name in ("RESULTS", "CHANGELOG", "CONTRIBUTING", "SECURITY")
}
PAGES = {file: f"{page}.md" for page, file in ROOT_FILES.items()} | {DOCS.parent / "README.md": "index.md"}
LINK = re.compile(r"(?<=\]\()[^)\s#:]+(?=[)#])")  # relative targets, without the anchor

project = "elman"
author = "elman developers"
project_copyright = author
version = release = elman.__version__
language = "ko" if tags.has("ko") else "en"  # noqa: F821 (Sphinx defines `tags`)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
templates_path = ["_templates"]
locale_dirs = [str(DOCS / "locale")]
myst_heading_anchors = 4
myst_url_schemes = {"http": None, "https": None, "mailto": None, "site": "{{path}}"}
suppress_warnings = ["misc.highlighting_failure"]  # of several JSON objects in one block

default_role = "py:obj"  # single backquotes in docstrings
autosummary_generate = False
autodoc_default_options = {"members": True, "inherited-members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "elman"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_use_index = html_domain_indices = False  # the search finds all names
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "native"


class SearchKorean(SearchEnglish):
    """Korean words are found by their beginnings, because particles and endings follow them: 시퀀스를, 시퀀스마다."""

    lang = "ko"
    js_splitter_code = r"""
function splitQuery(query) {
  return query.match(/[가-힣]+|(?:(?![가-힣])[\p{Letter}\p{Number}_])+/gu) ?? [];
}
"""

    def split(self, input: str) -> list[str]:
        """Return the words of a text, and of a Korean word every beginning of two syllables and more."""
        found = []
        for word in re.findall(r"[가-힣]+|[^\W가-힣]+", input):
            first = 2 if "가" <= word[0] <= "힣" else len(word)
            found += [word[:end] for end in range(min(first, len(word)), len(word) + 1)]
        return found


def point_to_the_site(app: Sphinx, docname: str, source: list[str]) -> None:
    """Show the files of the root as pages, and let links to them, and to the other language, lead to pages."""
    folder = home = (Path(app.srcdir) / docname).parent
    if docname in ROOT_FILES:
        home = ROOT_FILES[docname].parent
        source[0] = ROOT_FILES[docname].read_text("utf-8")
        app.env.note_dependency(ROOT_FILES[docname])

    def target(match: re.Match[str]) -> str:
        path = Path(os.path.normpath(home / match[0]))
        if path in PAGES:
            path = Path(app.srcdir) / PAGES[path]
        relative = Path(os.path.relpath(path, folder)).as_posix()
        if path.is_relative_to(DOCS / OTHER[language]):
            return "site:" + relative.removesuffix(".md") + ".html"
        return relative

    source[0] = LINK.sub(target, source[0])


def link_the_other_language(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Give the templates the address of this page in the other language, or of the nearest one above it."""
    other = OTHER[language]
    generated = not (DOCS / language / f"{pagename}.md").exists()
    page = Path(pagename)
    while not (generated or (DOCS / other / f"{page}.md").exists()):
        page = page.parent.parent / "index" if page.name == "index" else page.parent / "index"
    context["other_language"] = other
    context["other_language_name"] = NAMES[other]
    context["other_language_page"] = f"{context['content_root']}../{other}/{page.as_posix()}.html"


def leave_out_any(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Leave the type Any, which stands for an array of any library, out of a signature."""
    shorter = None if signature is None else re.sub(r": Any( \| None)?(?= =|,|\))", "", signature)
    return shorter, None if returns == "Any" else returns


def setup(app: Sphinx) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("autodoc-process-signature", leave_out_any)
    app.add_search_language(SearchKorean)
    app.connect("source-read", point_to_the_site)
    app.connect("html-page-context", link_the_other_language)
