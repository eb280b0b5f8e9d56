"""Learn simple melodies note by note, and continue one.

Run ``python examples/melody.py [--plot FILE] [--midi FILE]``. The tunes are in ABC notation: C to B and c to b are the
notes of two octaves, B, is below C, a number after a note is its length in eighths, and | ends a bar. A note
(or two short ones) is a token and a tune is a line, so the model and its training are those of words. ``--midi`` also
writes the melody as a MIDI file, by the library mido.
"""

import argparse
import re
from pathlib import Path

import numpy as np

from elman import Adam, RecurrentLM, RnnlmTrainer, TextModel, Vocabulary, make_tokenizer
from elman.errors import MissingExtra
from elman.plots import COLOURS, new_figure, save

# Eight bars each, four quarter notes in a bar; made for this example.
TUNES = """\
C2 D2 E2 C2 | E2 F2 G4 | G2 F2 E2 D2 | E2 D2 C4 | C2 D2 E2 C2 | E2 F2 G4 | G2 E2 D2 B,2 | C8 |
E2 E2 D2 C2 | D2 E2 F4 | F2 F2 E2 D2 | E2 F2 G4 | G2 A2 G2 F2 | E2 D2 C4 | D2 E2 D2 B,2 | C8 |
G2 E2 G2 E2 | F2 D2 F4 | E2 C2 E2 G2 | F2 D2 D4 | G2 E2 G2 E2 | F2 D2 F4 | E2 G2 F2 D2 | C8 |
C2 E2 G2 E2 | F2 A2 G4 | C2 E2 G2 E2 | F2 E2 D4 | C2 E2 G2 E2 | F2 A2 G4 | G2 F2 E2 D2 | C8 |
c2 B2 A2 G2 | A2 G2 F4 | F2 G2 A2 F2 | G2 F2 E4 | c2 B2 A2 G2 | A2 G2 F4 | E2 F2 D2 B,2 | C8 |
E2 G2 c2 G2 | A2 c2 G4 | F2 A2 G2 E2 | D2 E2 D4 | E2 G2 c2 G2 | A2 c2 G4 | F2 E2 D2 G2 | C8 |
G2 G2 A2 G2 | c2 B2 G4 | A2 A2 G2 F2 | E2 F2 D4 | G2 G2 A2 G2 | c2 B2 G4 | A2 F2 D2 B,2 | C8 |
C2 C2 E2 E2 | G2 G2 E4 | F2 F2 D2 D2 | E2 E2 C4 | C2 C2 E2 E2 | G2 G2 E4 | F2 D2 G2 B,2 | C8 |
C2 DE F2 D2 | E2 FG A4 | G2 FE F2 D2 | E2 DC D4 | C2 DE F2 D2 | E2 FG A4 | G2 FE D2 G2 | C8 |
G2 FE D2 E2 | F2 ED C4 | E2 FG A2 G2 | F2 ED D4 | G2 FE D2 E2 | F2 ED C4 | D2 EF G2 B,2 | C8 |
"""
START = "C2 D2 E2 G2 |"
PITCHES = dict(zip("CDEFGABc", (60, 62, 64, 65, 67, 69, 71, 72), strict=True)) | {"B,": 59}  # MIDI: 60 is C
BAR = 8  # eighths


def train(tunes, epochs, seed, wordvec=16, hidden=48):
    """Return a GRU language model of notes."""
    tokenizer = make_tokenizer("word")
    tokens = tokenizer.tokens(tunes)
    vocabulary = Vocabulary(list(dict.fromkeys(tokens)), eos=tokenizer.eos)
    ids = vocabulary.encode(tokens)
    model = RecurrentLM(len(vocabulary), wordvec, hidden, "gru", rng=np.random.default_rng(seed))
    trainer = RnnlmTrainer(model, Adam(lr=0.01))
    trainer.fit(ids[:-1], ids[1:], epochs, batch_size=4, time_size=20, max_grad=1.0, eval_interval=None)
    print(f"{len(ids)} tokens, {len(vocabulary)} distinct; perplexity in training {trainer.ppl_list[-1]:.2f}")
    return TextModel(model, tokenizer, vocabulary)


def notes_of(abc):
    """Return the notes of a melody: the name and the length in eighths of each."""
    return [(name, int(length or 1)) for name, length in re.findall(r"([A-Gc],?)(\d?)", abc)]


def bars_of(abc):
    """Return the bars of a melody."""
    return [bar.strip() for bar in abc.split("|") if bar.strip()]


def write_midi(path, notes, eighth=240):
    """Write notes as a MIDI file; ``eighth`` is the length of one in ticks. Raises MissingExtra without mido."""
    try:
        import mido
    except ImportError as error:
        raise MissingExtra("mido", "music") from error
    file = mido.MidiFile(ticks_per_beat=2 * eighth)
    track = file.add_track("elman")
    for name, length in notes:
        track.append(mido.Message("note_on", note=PITCHES[name], velocity=80))
        track.append(mido.Message("note_off", note=PITCHES[name], time=length * eighth))
    file.save(path)


def draw(path, given, notes):
    """Draw the melody as bars over time; the first ``given`` notes are those it began with."""
    figure, axes = new_figure(scale="linear")
    ends = np.cumsum([length for _, length in notes])
    for k, ((name, length), end) in enumerate(zip(notes, ends, strict=True)):
        axes.barh(PITCHES[name], 0.9 * length, left=end - length, color=COLOURS[0 if k < given else 1])
    axes.set_yticks(list(PITCHES.values()), list(PITCHES))
    axes.set_xticks(range(0, int(ends[-1]) + 1, BAR), range(1, int(ends[-1]) // BAR + 2))
    axes.set_xlabel("bar; blue is given, orange is composed")
    save(figure, Path(path))


def main(arguments=None, epochs=30, seed=1):
    """Train, continue a melody and print it; return its bars."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="draw the melody")
    parser.add_argument(
        "--midi", metavar="FILE", help="write the melody as a MIDI file (pip install 'elman[music]')"
    )
    options = parser.parse_args(arguments)
    composer = train(TUNES, epochs, seed)
    melody = composer.generate(START, 60, temperature=0.8, seed=seed).partition("\n")[
        0
    ]  # up to the first end
    bars = bars_of(melody)
    complete = sum(sum(length for _, length in notes_of(bar)) == BAR for bar in bars)
    known = sum(bar in bars_of(TUNES) for bar in bars)
    print(f"\nX:1\nT:continued from {START}\nM:4/4\nL:1/8\nK:C\n{melody}\n")
    print(f"{len(bars)} bars, of which {complete} have {BAR} eighths; {known} of them occur in the tunes")
    if options.midi:
        write_midi(options.midi, notes_of(melody))
    if options.plot:
        draw(options.plot, len(notes_of(START)), notes_of(melody))
    return bars


if __name__ == "__main__":
    main()
