"""N-best lists of other programs: Moses, SRILM, ESPnet, and JSON; `read_nbest` recognises the format where it can.

Sources: Moses' `-n-best-list`; SRILM's nbest-format(5); the output folder of ESPnet2's `asr_inference` and the
`data.json` of ESPnet1's `asr_recog`.
"""

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from elman.errors import ConfigError, TextError
from elman.parsing import parse_json
from elman.rescoring.nbest import WORDS, Row, Utterance, collect, read_kaldi, read_tsv, to_score
from elman.text.sources import Text, read_lines, text_name

Format = Literal["auto", "tsv", "kaldi", "moses", "srilm", "espnet", "json"]
FORMATS: tuple[Format, ...] = ("auto", "tsv", "kaldi", "moses", "srilm", "espnet", "json")
Numbered = Iterable[tuple[int, str]]  # lines with their numbers, from 1

BYTELOG = 1024 / 10000.5  # nats: Decipher's scores are logarithms to the base 1.0001, divided by 1024
NATS = math.log(10)  # of SRILM's own scores, which are logarithms to the base 10
_DECIPHER = re.compile(r"\((-?[\d.]+)\)\s*(.*)")
_TIMES = re.compile(r"(\S+) \( st: (\S+) et: (\S+) g: \S+ a: \S+ \)")
_BEST = re.compile(r"(\d+)best_recog")
_NUMBER = re.compile(r"tensor\(([^,)]+).*\)")  # ESPnet2 writes scores as PyTorch prints them
_PIECES = str.maketrans({"▁": " "})
_END = re.compile(r"<(?:eos|sos/eos|space)>")


def read_nbest(nbest: Text, format: Format = "auto", encoding: str = "utf-8") -> list[Utterance]:
    """Return the utterances of an n-best list in a file, stream, folder or lines.

    "auto" recognises a folder of Kaldi or ESPnet by its files, Moses by `|||`, SRILM by the header `NBestList`, and
    JSON by its first brace; anything else is a table with tabs.

    Raises:
        ConfigError: the format is unknown, or does not fit a folder or a file.
        TextError: a file cannot be read, or is malformed.
    """
    if format not in FORMATS:
        raise ConfigError(f"`format` must be one of {', '.join(FORMATS)}; got {format!r}")
    if isinstance(nbest, (str, os.PathLike)) and Path(nbest).is_dir():
        return _read_folder(Path(nbest), format, encoding)
    if format == "kaldi":
        raise ConfigError(f"{text_name(nbest)} is not a folder, as Kaldi's lists are; name the folder")
    name = text_name(nbest)
    lines = enumerate(read_lines(nbest, encoding), 1)
    blank = list[tuple[int, str]]()
    for numbered in lines:
        blank.append(numbered)
        if numbered[1].strip():
            break
    found = _recognised(blank[-1][1] if blank else "") if format == "auto" else format
    whole = chain(blank, lines)
    if found == "tsv":
        return read_tsv((line for _, line in whole), name)
    if found == "moses":
        return collect(_moses(whole, name), name)
    if found == "srilm":
        return collect(_srilm_or_list(list(whole), nbest, name, encoding), name)
    return collect(_json(list(whole), name), name)


def _recognised(first: str) -> Format:
    first = first.lstrip("\ufeff \t")
    if first.startswith("NBestList"):
        return "srilm"
    if first.startswith(("{", "[")):
        return "json"
    return "moses" if " ||| " in first and "\t" not in first.split("|||")[0] else "tsv"


def _read_folder(folder: Path, format: Format, encoding: str) -> list[Utterance]:
    espnet = sorted({path.parent for path in folder.rglob("1best_recog") if path.is_dir()})
    if format == "espnet" or (format == "auto" and espnet and not (folder / WORDS).exists()):
        if not espnet:
            raise TextError(f"{folder} has no folder 1best_recog, which ESPnet writes with nbest > 1")
        return collect(chain.from_iterable(_espnet(each, encoding) for each in espnet), str(folder))
    if format == "srilm":
        files = sorted(path for path in folder.iterdir() if path.is_file())
        return collect(chain.from_iterable(_srilm_file(each, encoding) for each in files), str(folder))
    if format in ("auto", "kaldi"):
        return read_kaldi(folder, encoding)
    raise ConfigError(f"{folder} is a folder; `format={format!r}` needs a file")


def _moses(lines: Numbered, name: str) -> Iterator[Row]:
    """Yield the candidates of lines `id ||| text ||| features ||| score`; the total score is Moses' own."""
    for number, line in lines:
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        fields = [field.strip() for field in line.split("|||")]
        if len(fields) < 3 or not fields[0]:
            raise TextError(f"{where}: a line of Moses must be `id ||| text ||| features ||| score`")
        yield Row(where, fields[0], None, to_score(fields[min(3, len(fields) - 1)], where), _words(fields[1]))


def _words(text: str) -> str:
    return " ".join(text.split())


def _srilm_or_list(lines: Sequence[tuple[int, str]], nbest: Text, name: str, encoding: str) -> Iterator[Row]:
    """Yield the candidates of one utterance or, of a list of file names, those of each file."""
    filled = [(number, line.strip()) for number, line in lines if line.strip()]
    base = Path(nbest).parent if isinstance(nbest, (str, os.PathLike)) else Path()
    if filled and not filled[0][1].startswith("NBestList") and (base / filled[0][1]).is_file():
        for number, file in filled:
            if not (base / file).is_file():
                raise TextError(f"{name}, line {number}: there is no file {base / file}")
            yield from _srilm_file(base / file, encoding)
        return
    yield from _srilm(filled, name)


def _srilm_file(path: Path, encoding: str) -> Iterator[Row]:
    return _srilm(enumerate(read_lines(path, encoding), 1), str(path))


def _srilm(lines: Numbered, name: str) -> Iterator[Row]:
    """Yield the candidates of one utterance, named as the file, in one of SRILM's three formats."""
    utterance = re.sub(r"(\.(nbest|score|gz|txt))+$", "", Path(name).name) or name
    read: Callable[[str, str], tuple[float, str]] = _scored
    for number, line in lines:
        where = f"{name}, line {number}"
        if line.startswith("NBestList"):
            version = line.strip()
            if version not in ("NBestList1.0", "NBestList2.0"):
                raise TextError(f"{where}: the header must be NBestList1.0 or NBestList2.0, got {version!r}")
            read = _decipher if version == "NBestList1.0" else _with_times
        elif line.strip():
            score, text = read(line.strip(), where)
            yield Row(where, utterance, None, score, text)


def _scored(line: str, where: str) -> tuple[float, str]:
    """Read `acoustic lm words w1 w2 …`; the score is the acoustic one: the model replaces that of the other model."""
    fields = line.split()
    if len(fields) < 3 or not fields[2].isdigit():
        raise TextError(
            f"{where}: a line must be `acoustic lm words w1 w2 …`, or follow a header NBestList1.0"
        )
    to_score(fields[1], where)
    return NATS * to_score(fields[0], where), " ".join(fields[3:])


def _decipher(line: str, where: str) -> tuple[float, str]:
    found = _DECIPHER.fullmatch(line)
    if found is None:
        raise TextError(f"{where}: a line of NBestList1.0 must be `(score) w1 w2 …`")
    return BYTELOG * to_score(found[1], where), _words(found[2])


def _with_times(line: str, where: str) -> tuple[float, str]:
    """Read a line of NBestList2.0; phones and states, which lie within the word before them, are left out."""
    found = _DECIPHER.fullmatch(line)
    rest = "" if found is None else _words(found[2])
    if found is None or _TIMES.sub("", rest).strip():
        raise TextError(
            f"{where}: a line of NBestList2.0 must be `(score) w1 ( st: … et: … g: … a: … ) w2 ( …`"
        )
    words, ended = [], -math.inf
    for word, start, end in _TIMES.findall(rest):
        if to_score(start, where) > ended:
            words.append(word)
            ended = to_score(end, where)
    return BYTELOG * to_score(found[1], where), " ".join(words)


def _espnet(folder: Path, encoding: str) -> Iterator[Row]:
    """Yield the candidates in folders 1best_recog, 2best_recog, … with files `text` and `score`, by utterance."""
    rows: dict[str, list[Row]] = {}
    ranked = ((_BEST.fullmatch(path.name), path) for path in folder.iterdir())
    for rank, path in sorted((int(found[1]), path) for found, path in ranked if found):
        scores = {key: (value, where) for where, key, value in _keyed(path / "score", encoding)}
        for where, key, text in _keyed(path / "text", encoding):
            if key not in scores:
                raise TextError(f"{path / 'score'} lacks {key}, which {path / 'text'} has")
            score, of_score = scores[key]
            found = _NUMBER.fullmatch(score)
            value = to_score(found[1] if found else score, of_score)
            rows.setdefault(key, []).append(Row(where, key, rank, value, _words(text)))
    return chain.from_iterable(rows.values())


def _keyed(path: Path, encoding: str) -> Iterator[tuple[str, str, str]]:
    """Yield the lines of a file `UTTERANCE value` as where it is, utterance and value."""
    for number, line in enumerate(read_lines(path, encoding), 1):
        if line.strip():
            key, *value = line.split(maxsplit=1)
            yield f"{path}, line {number}", key, value[0].strip() if value else ""


def _json(lines: Sequence[tuple[int, str]], name: str) -> Iterator[Row]:
    """Yield the candidates of JSON Lines, of a JSON list or object, or of ESPnet1's `data.json`."""
    filled = [(number, line) for number, line in lines if line.strip()]
    try:
        whole = json.loads(filled[0][1]) if len(filled) > 1 else None
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict):  # the first line is an object: JSON Lines
        for number, line in filled:
            where = f"{name}, line {number}"
            yield from _utterance(parse_json(line, where, TextError), where)
        return
    data = parse_json("\n".join(line for _, line in lines), name, TextError)
    if isinstance(data, dict) and isinstance(data.get("utts"), dict):
        for key, about in data["utts"].items():
            yield from _espnet_json(key, about, f"{name}: utterance {key}")
    elif isinstance(data, dict) and "utt" not in data:
        for key, hyps in data.items():
            yield from _utterance({"utt": key, "hyps": hyps}, f"{name}: utterance {key}")
    else:
        for number, each in enumerate(data if isinstance(data, list) else [data], 1):
            yield from _utterance(each, f"{name}: utterance {number}")


def _utterance(given: Any, where: str) -> Iterator[Row]:
    """Yield the candidates of `{"utt": …, "hyps": [{"text": …, "score": …}, …]}`; a text alone has the score 0."""
    if not (isinstance(given, dict) and isinstance(given.get("hyps"), list) and given.get("utt") is not None):
        raise TextError(
            f'{where}: an utterance must be {{"utt": "name", "hyps": [{{"text": "...", "score": -1.5}}]}}'
        )
    for rank, hyp in enumerate(given["hyps"], 1):
        text, score = (hyp, 0) if isinstance(hyp, str) else _text_and_score(hyp, "text")
        yield _row(str(given["utt"]), rank, text, score, where)


def _espnet_json(key: str, about: Any, where: str) -> Iterator[Row]:
    output = about.get("output") if isinstance(about, dict) else None
    if not isinstance(output, list):
        raise TextError(f"{where} has no list `output`, as in ESPnet's data.json")
    for rank, hyp in enumerate(output, 1):
        text, score = _text_and_score(hyp, "rec_text")
        if isinstance(text, str):
            text = _END.sub(lambda found: " " if found[0] == "<space>" else "", text).translate(_PIECES)
        yield _row(key, rank, text, score, where)


def _text_and_score(hyp: Any, name: str) -> tuple[Any, Any]:
    return (hyp.get(name), hyp.get("score", 0)) if isinstance(hyp, dict) else (None, 0)


def _row(utterance: str, rank: int, text: Any, score: Any, where: str) -> Row:
    where = f"{where}, candidate {rank}"
    if not isinstance(text, str):
        raise TextError(f"{where} has no text")
    if isinstance(score, bool) or not isinstance(score, (int, float)):
        raise TextError(f"{where}: the score must be a finite number, got {score!r}")
    return Row(where, utterance, rank, to_score(str(score), where), _words(text))
