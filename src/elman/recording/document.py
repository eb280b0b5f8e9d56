"""The HTML file of a recording: page, scripts and data in one file that needs neither server nor network."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from elman.web import PREFIX, read_assets

SERVER_SCRIPTS = ("/page/js/main.js",)  # starts the page on a server
REPLAY_SCRIPTS = ("/page/js/source-replay.js",)  # starts it on a recording
STYLE = re.compile(r'[ \t]*<link rel="stylesheet" href="(/page/[^"]+)">\n')
SCRIPT = re.compile(r'[ \t]*<script src="(/page/[^"]+)"></script>\n')
ICON = re.compile(r'href="(/page/[^"]+\.svg)"')
LANGUAGES = ("en", "ko")


def make_page(recording: Mapping[str, Any]) -> str:
    """Return the page with a recording inside. The same recording makes the same page."""
    assets = {PREFIX + path: asset.body.decode("utf-8") for path, asset in read_assets().items()}
    html = assets["/page/index.html"]
    strings = {name: json.loads(assets[f"/page/strings/{name}.json"]) for name in LANGUAGES}
    styles = [assets[path] for path in STYLE.findall(html)]
    paths = [path for path in SCRIPT.findall(html) if path not in SERVER_SCRIPTS]
    scripts = [assets[path] for path in (*paths, *REPLAY_SCRIPTS)]
    html = SCRIPT.sub("", STYLE.sub("", html))
    icon = base64.b64encode(assets["/page/favicon.svg"].encode()).decode("ascii")
    html = ICON.sub(f'href="data:image/svg+xml;base64,{icon}"', html)
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    meta = f'  <meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    html = html.replace('<meta charset="utf-8">\n', f'<meta charset="utf-8">\n{meta}', 1)
    html = html.replace(
        "</head>", "".join(f"<style>{_inline(style)}</style>\n" for style in styles) + "</head>"
    )
    body = data_element("replay-data", {"recording": recording, "strings": strings})
    body += "".join(f"<script>{_inline(script)}</script>\n" for script in scripts)
    before, _, after = html.rpartition("</body>")
    return f"{before}{body}</body>{after}"


def data_element(name: str, data: Any) -> str:
    """Return data as a JSON element of a page. Every < in the data is escaped, so no text can end the element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{name}">{text}</script>\n'


def _inline(code: str) -> str:
    """Return a script or a style for use inside its element. One that would end the element is a bug of elman."""
    if re.search(r"</(script|style)|<!--", code, re.IGNORECASE):
        raise ValueError("a script or style of the page contains the end of its own element")
    return code


def _hashes(codes: list[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii") for code in codes)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
