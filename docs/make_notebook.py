"""Make docs/images/notebook.png, results as a notebook shows them: run ``python docs/make_notebook.py``.

Executes the cells below in a new notebook and photographs the page that nbconvert makes of it. Needs Chromium, and
``pip install nbconvert nbclient ipykernel '.[plot,pandas]'``. Trains for half a minute.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

IMAGES = Path(__file__).parent / "images"
CELLS = {
    "run": """import elman
run = elman.train("rooms", "runs/gru", cell="gru", hidden=64, wordvec=32, min_count=2, lr=0.01, epochs=3)
run""",
    "surprisal": """lm = run.model
lm.surprisal(["Tom was in his room .", "Mary said hi to Tom .", "Mary said hi to room ."])""",
    "next": """lm.next("Tom was in his", top=5)""",
    "evaluate": """lm.evaluate("rooms")""",
    "compare": """ngram = elman.train("rooms", "runs/ngram", model="ngram", order=3, min_count=2)
elman.compare({"GRU": lm, "3-gram": ngram.model}, "rooms")""",
    "history": """run.history""",
}


def main() -> None:
    """Execute the notebook and write the picture."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS.values()])
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
        page, _ = HTMLExporter().from_notebook_node(notebook)
        (Path(folder) / "page.html").write_text(page, encoding="utf-8")
        chromium = shutil.which("chromium") or "chromium"
        picture = IMAGES / "notebook.png"
        flags = ("--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=8000")
        shot = (f"--screenshot={picture}", "--window-size=1000,1990", f"file://{folder}/page.html")
        subprocess.run([chromium, *flags, *shot], check=True, capture_output=True)
    print(picture)


if __name__ == "__main__":
    main()
