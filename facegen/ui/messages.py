"""Messages of the backends for the browser: without paths of the server and without command lines."""

import re
import tempfile
from pathlib import Path

from facegen.config import home

_COMMAND = re.compile(
    r"(?<![\w-])--[a-z][\w-]*|\bfacegen (?:doctor|faceset|generate|runs|studio|swap|talk|train|verify|video|weights)\b"
    r"|\bapt-get\b|\bhf auth\b|\bmake install\b|\bray start\b"
)
_REMEDIES = (
    (r"add --data DIR|name it with --data(?: DIR)?", "choose the data under «On what?»"),
    (r"see: facegen runs list", "choose one in the Runs tab"),
    (r"name a picture with --source", "add a picture of the face"),
    (
        r"(?:choose one with |choose )?--source-face(?: N)? \(?(0 to \d+)(, from left to right)?\)?",
        r"choose face \1\2 under «Faces»",
    ),
    (r"give --portrait, or --engine dfrf:RUN for a trained person", "choose a portrait, or a trained person"),
    (r"choose --engine autoencoder:RUN or dfm:FILE", "choose one under «What draws the face»"),
    (r"add --sliders mouth-smile=0.5", "choose some under «Models from the Hub»"),
    (r"add --sweep mouth", "choose one slider of the sweep"),
    (r"install it \(apt-get install espeak-ng\) or give a recording", "give a recording"),
    (r"(?:use|make one with): facegen faceset extract", "cut faces out in the Faceset tab"),
    (r"train one with: facegen train mask", "train one in the Train tab"),
    (r" or with «facegen weights fetch \S+»", ""),
    (r"(?:or )?run: facegen weights (?:accept|fetch|reset) \S+", "ask whoever runs this studio"),
    (r"made by «facegen generate dataset»", "made under «Prepare a dataset»"),
    (r"(prepared|made) by «facegen talk train»", r"\1 by a training of one person"),
    (r"the run of a finished «facegen talk train»", "the finished training of one person"),
    (r"run «facegen talk train» with the same video again", "begin its training again, with the same video"),
    (r"give the run of «facegen train dfrf» on several people", "choose a training of several people"),
    (r"\(--transparency keeps it", "(«Keep transparency» keeps it"),
    (r"run make install again|install facegen again", "ask whoever runs this studio"),
    (r"and log in with: hf auth login", "for it, or choose another model."),
    (r"log in with: hf auth login", "ask whoever runs this studio"),
    (r"free some space or set FACEGEN_HOME(?: to another place)?", "free some space"),
    (r"set FACEGEN_HOME to a writable folder|unset it or place the file: \S+", "ask whoever runs this studio"),
)
"""Pattern of a remedy on the command line, and the remedy on the page."""


_PLAIN = (
    (
        r"The file does not say which colour matrix it uses; \S+ is taken, by its height\.",
        "The file does not say how its colours are coded; what is usual for its size was taken.",
    ),
    (
        r"Sound track \d+ was encoded again as (\w+) at 192 kbit/s: \w+ in \w+ is not played by browsers \(.*?\)\.",
        r"The sound was encoded as \1, which browsers play.",
    ),
)
"""Pattern of a technical notice, and the same in plain words."""


def to_browser_message(sentence: str) -> str:
    """Rewrites a message: remedies of the page, plain words, names of files in place of paths."""
    words = sentence
    for pattern, remedy in (*_PLAIN, *_REMEDIES):
        words = re.sub(pattern, remedy, words)
    if _COMMAND.search(words):
        # a remedy that only a command line has; what was expected and found stays
        kept = [part for part in words.split("; ") if not _COMMAND.search(part)]
        words = f"{'; '.join(kept)}." if kept else re.sub(r"\s*\(?" + _COMMAND.pattern, "", words)
    if words != sentence and not words.endswith((".", "…", "!", "?")):
        words += "."
    words = words.replace("..", ".") if words.endswith("..") else words
    return strip_paths(words)


def strip_paths(words: str) -> str:
    """The words with names of files in place of paths of this machine."""
    roots = {str(home()), tempfile.gettempdir(), str(Path(__file__).resolve().parents[2]), str(Path.home())}
    for root in sorted((root for root in roots if len(root) > 1), key=len, reverse=True):
        words = re.sub(re.escape(root) + r"(?:/[^/\s'\"»;,]*)*?/?([^/\s'\"»;,]*)(?=[\s'\"»;,.]|$)", r"\1", words)
    return words
