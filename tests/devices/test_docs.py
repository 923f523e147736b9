"""Every `fer-edge` command in the documents for devices, and in the README, is one that the command line takes."""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import shlex
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    path.relative_to(REPOSITORY).as_posix()
    for path in (
        REPOSITORY / "README.md",
        *(
            REPOSITORY / "docs" / f"{name}.md"
            for name in ("deploy", "doctor", "firmware", "jetson", "preview", "raspberry-pi", "service", "sinks")
        ),
        REPOSITORY / "docs" / "sources.md",
    )
    if path.exists()
]
# What ends a command in a shell's line.
_ENDS = ("|", "||", "&&", ";", "&", ">", ">>", "<")
# In a line that only shows what there is, `[OPTION]` and `…` are no words of a command.
_SYNOPSIS = re.compile(r"\s\[|…|\.\.\.")


def shell_lines(text):
    """The lines of indented code, those that end with a backslash joined, variables of the document put in."""
    lines = [line.strip() for line in re.sub(r"\\\n\s*", "", text).splitlines() if re.match(r"    \S", line)]
    variables = dict(found for line in lines for found in re.findall(r'^([A-Z_]+)="(.*)"$', line))
    return [re.sub(r"\$([A-Z_]+)", lambda found: variables.get(found[1], found[0]), line) for line in lines]


def split(line):
    """The words behind each `fer-edge` that a line calls, also behind sudo, a folder and settings of variables."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found, words, at_start = [], None, True
    for token in lexer:
        if token in _ENDS:
            words, at_start = None, True
        elif words is not None:
            words.append(token)
        elif at_start and Path(token).name == "fer-edge":
            words = []
            found.append(words)
        else:
            at_start = at_start and (token == "sudo" or re.match(r"[A-Z_]+=", token) is not None)
    return found


def commands(path):
    """The commands in a document's indented code."""
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    return [words for line in shell_lines(text) if not _SYNOPSIS.search(line) for words in split(line)]


def spans(path):
    """The commands between backticks, which may leave out what is clear."""
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    return [span.split()[1:] for span in re.findall(r"`(fer-edge [a-z][^`]*)`", text)]


def parser_for(words):
    """What reads the words behind `fer-edge`, and those left for it."""
    points = {point.name: point for point in importlib.metadata.entry_points(group="fer_edge.commands")}
    assert words[0] in points, f"there is no command {words[0]}"
    command, rest = points[words[0]].load(), words[1:]
    if rest and rest[0] in command.actions:
        command, rest = command.actions[rest[0]], rest[1:]
    parser = argparse.ArgumentParser(prog="fer-edge", allow_abbrev=False)
    command.configure(parser)
    return parser, rest


def options_of(parser):
    """The names of all options, those of a parser's own commands included."""
    names = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            names.update(*(options_of(each) for each in action.choices.values()))
    return names


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_documents_commands_are_taken(path, capsys):
    for words in commands(path):
        parser, rest = parser_for(words)
        try:
            parser.parse_args(rest)
        except SystemExit:
            pytest.fail(f"{path}: fer-edge {shlex.join(words)}: {capsys.readouterr().err.strip().splitlines()[-1]}")


@pytest.mark.parametrize("path", DOCUMENTS)
def test_options_named_in_a_text_exist(path):
    for words in spans(path):
        parser, rest = parser_for(words)
        named = {word.rstrip("]").partition("=")[0] for word in rest if word.startswith("--")}
        assert named <= options_of(parser), f"{path}: fer-edge {' '.join(words)}"


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if Path(path).stem in ("jetson", "raspberry-pi")])
def test_a_guide_goes_all_the_way(path):
    """From the installation to the end: a guide that lost its commands would pass the tests above."""
    called = {tuple(words[:2]) if words[0] == "service" else words[0] for words in commands(path)}
    steps = {"run", "doctor", "tune", "deploy", *(("service", step) for step in ("config", "check", "install"))}
    assert steps <= called
    assert {("service", "status"), ("service", "uninstall")} <= called


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("fer-edge run 0 --preview 8080   # on the device", [["run", "0", "--preview", "8080"]]),
        ("sudo /opt/fer-edge/bin/fer-edge service install a.toml", [["service", "install", "a.toml"]]),
        ("sudo FER_EDGE_TUNING=/etc/tuning fer-edge tune", [["tune"]]),
        ("fer-edge service config | sudo tee /etc/fer-edge.toml", [["service", "config"]]),
        ("rpicam-vid -o - | fer-edge run raw:640x480:yuv420", [["run", "raw:640x480:yuv420"]]),
        ('fer-edge run 0 --sink "jsonl:a?max_bytes=1&keep=4"', [["run", "0", "--sink", "jsonl:a?max_bytes=1&keep=4"]]),
        ("fer-edge run rtsp://camera/stream > faces.jsonl", [["run", "rtsp://camera/stream"]]),
        ("fer-edge doctor && fer-edge tune", [["doctor"], ["tune"]]),
        ("journalctl -u fer-edge", []),
        ("pip install fer-edge", []),
    ],
)
def test_what_a_line_calls(line, found):
    assert split(line) == found


def test_a_line_goes_on_behind_a_backslash_and_knows_its_variables():
    assert shell_lines('text\n\n    A="--text --force"\n    fer-edge run 0 \\\n        $A $B\n') == [
        'A="--text --force"',
        "fer-edge run 0 --text --force $B",
    ]
