"""The model of notes keeps to the bar, and its melodies become MIDI files."""

import sys
from pathlib import Path

import pytest

from elman.errors import MissingExtra

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import melody

pytestmark = pytest.mark.slow


def eighths(bar: str) -> int:
    return sum(length for _, length in melody.notes_of(bar))


def test_notes_are_read_with_their_lengths() -> None:
    assert melody.notes_of("C2 DE B,4 | c8 |") == [("C", 2), ("D", 1), ("E", 1), ("B,", 4), ("c", 8)]


def test_every_bar_of_the_tunes_is_full_and_can_be_played() -> None:
    tunes = melody.TUNES.splitlines()
    assert [len(melody.bars_of(tune)) for tune in tunes] == [8] * len(tunes)
    assert {eighths(bar) for bar in melody.bars_of(melody.TUNES.replace("\n", " "))} == {melody.BAR}
    assert {name for name, _ in melody.notes_of(melody.TUNES)} <= set(melody.PITCHES)


def test_a_melody_is_continued_in_full_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "melody.png"
    bars = melody.main(["--plot", str(picture)])
    assert f"{bars[0]} |" == melody.START
    assert picture.stat().st_size > 5_000
    assert "\nK:C\nC2 D2 E2 G2 |" in capsys.readouterr().out
    composer = melody.train(melody.TUNES, epochs=40, seed=0)
    text = composer.generate(melody.START, 400, temperature=0.8, seed=0)
    full = [eighths(bar) == melody.BAR for bar in melody.bars_of(text)[:-1]]
    assert sum(full) > 0.8 * len(full) > 40


def test_the_midi_file_holds_the_notes(tmp_path: Path) -> None:
    mido = pytest.importorskip("mido")
    melody.write_midi(tmp_path / "m.mid", melody.notes_of("C2 DE B,4"))
    read = mido.MidiFile(tmp_path / "m.mid")
    assert [message.note for message in read.tracks[0] if message.type == "note_on"] == [60, 62, 64, 59]
    assert read.length == pytest.approx(2.0)  # seconds: a bar at 120 quarter notes a minute


def test_without_mido_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(MissingExtra, match=r"pip install 'elman\[music\]'"):
        melody.write_midi(tmp_path / "m.mid", [("C", 2)])
