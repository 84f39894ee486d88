"""Whether swaps, faces, talks and trainings are equal to the bit to those of the commit in results/digests.json.

Each case calls the command line in a process of its own, so that nothing here depends on names inside the package. A
digest is the SHA-256 of decoded pixels, samples and tensors, never of the files, which carry dates and signatures.

`python -m benchmarks digests` compares this tree; words choose cases (`swap`, `"talk respoken"`); `--tree FOLDER` compares
another checkout; `--reference` writes the digests of all cases as the new reference.
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.digest_inputs import digest_files, write_inputs, write_signing_key
from benchmarks.report import RESULTS, processor, table
from facegen.config import write_json
from facegen.json_file import read_json

REFERENCE = RESULTS / "digests.json"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_LIBRARIES = ("torch", "numpy", "opencv-python", "onnxruntime", "mediapipe", "av", "diffusers", "scipy", "scikit-image")
_THREADS = "2"


@dataclass(frozen=True)
class Case:
    """Commands that run one after the other in the work folder, and the files whose content is compared."""

    name: str
    commands: tuple[str, ...]
    outputs: tuple[str, ...]
    """Globs, relative to the work folder."""
    after: str = ""
    """Name of the case whose files the commands read; it is made first."""

    @property
    def needs_data(self) -> bool:
        """Whether the commands read the local material of ../shared/data."""
        return any("{data}" in command for command in self.commands)


def _swap(name: str, options: str, output: str) -> Case:
    return Case(f"swap {name}", (f"swap {options} --output {output} --consent",), (output,))


def _talk(name: str, options: str) -> Case:
    output = f"talk-{name.replace(' ', '-')}.mp4"
    return Case(f"talk {name}", (f"talk {options} --output {output} --consent",), (output,))


def _generate(name: str, options: str) -> Case:
    folder = f"faces-{name.replace(' ', '-')}"
    return Case(f"generate {name}", (f"generate {options} --output {folder}",), (f"{folder}/*",))


_TWO = "--person 0=collins.png --person 1=hopper.png --target both.mp4"
_CROWD = "{data}/clips/crowd_multiface_1080p.mp4"
_WOMAN = "{data}/clips/pexels_woman_handocclusion_turn.mp4"
_SPEAKER = "{data}/talking/cnn2_25fps_512_71s.mp4"
_EXTRACT = "faceset extract"
_MASK = "faceset mask"


def _merge(name: str, options: str, output: str) -> Case:
    command = f"swap --engine autoencoder:pair --target collins.mp4 --end-seconds 0.4 {options} --consent"
    return Case(f"train {name}", (command,), (output,), after="train saehd")


CASES = (
    Case("inputs all", (), ("*.png", "*.mp4", "*.wav")),
    _swap("picture", "--source collins.png --target hopper.png", "swap.png"),
    _swap("clip", "--source collins.png --target hopper.mp4", "swap.mp4"),
    _swap("two people", _TWO, "two.mp4"),
    _swap("preview", "--source collins.png --target hopper.mp4 --preview 4", "sheet.png"),
    _swap(
        "other options",
        "--source hopper.png --target collins.mp4 --face-shape 0.3 --mask-feather 0.5 --colour 0.4 --sharpness-match 0.2 "
        "--grain-match 1 --temporal-smoothing 1 --no-occlusion --when-no-face hold --faces largest --start-seconds 0.2",
        "options.mp4",
    ),
    _swap("hand", f"--source collins.png --target {_WOMAN} --end-seconds 1", "hand.mp4"),
    _swap("crowd", f"--source collins.png --target {_CROWD} --end-seconds 0.4", "crowd.mp4"),
    _generate("seeds", "--seed 1 --count 4"),
    _generate("without retouching", "--seed 7 --count 2 --temperature 1 --no-retouch"),
    _generate("sliders", "--seed 3 --eyes 0.2 --mouth 0.9 --hair 0.1 --background 0.2 --head 0.9 --best-of 3"),
    _generate("further direction", "--seed 5 --more smile=1.5"),
    _generate("sweep", "--seed 2 --sweep head --film"),
    _generate("square", "--seed 2 --sweep head --sweep mouth --no-retouch"),
    _generate("photograph", "--edit collins.png --head 0.7 --mouth 0.4 --hair 0.2"),
    _generate("photograph sweep", "--edit hopper.png --sweep eyes"),
    _talk("portrait", "--portrait collins.png --audio said.wav"),
    _talk("painted mouth", "--portrait hopper.png --audio said.wav --mouth 1.4 --head 1 --eyes 1 --seed 3 --restore 1"),
    _talk("driven", "--portrait collins.png --audio said.wav --driving hopper.mp4 --no-blink"),
    _talk("respoken clip", "--portrait hopper.mp4 --audio said.wav"),
    _talk("respoken speaker", f"--portrait {_SPEAKER} --audio said.wav --seconds 0.6"),
    _talk("speech", "--portrait collins.png --audio {data}/speech/hallo_1.wav --seconds 1"),
    Case(
        _EXTRACT,
        (
            "faceset extract collins.mp4 --output people/a --size 128 --every 2",
            "faceset extract hopper.mp4 hopper.png --output people/b --size 128 --every 3",
        ),
        ("people/*/*.jpg", "people/*/*.png"),
    ),
    Case(_MASK, ("faceset mask people/a --by parser",), ("people/a/masks/*.png",), after=_EXTRACT),
    Case(
        "faceset enhance", ("faceset enhance people/b --output sharp",), ("sharp/*.jpg", "sharp/*.png"), after=_EXTRACT
    ),
    Case(
        "train saehd",
        ("train saehd --data people --run pair --preset tiny --steps 4", "train export pair --output pair-export"),
        ("pair/**/*.safetensors", "pair-export/**/*.safetensors"),
        after=_MASK,
    ),
    _merge("merge", "--output merge.mp4", "merge.mp4"),
    _merge("merge guided", '--output guided.mp4 --merge "mode=mesh-guided, restore=60"', "guided.mp4"),
    _merge(
        "merge seamless",
        '--output seamless.mp4 --merge "mode=seamless-hist-match, mask=hull, colour=lct, sharpen=30"',
        "seamless.mp4",
    ),
    _merge("patches", "--output patches --patches", "patches/*.png"),
    Case(
        "train restorer",
        ("train restorer --data people/a --run restorer --preset tiny --steps 3",),
        ("restorer/**/*.safetensors",),
        after=_MASK,
    ),
    Case(
        "train autoencoder",
        ("train autoencoder --data people --run squeezed --preset tiny --steps 3",),
        ("squeezed/**/*.safetensors",),
        after=_MASK,
    ),
    Case(
        "train dfrf",
        (
            "talk train --video speaker.mp4 --field tiny --run field --minutes 0 --set steps=4 --consent",
            "talk --engine dfrf:field --audio said.wav --output field.mp4 --consent",
        ),
        ("field/**/*.safetensors", "field.mp4"),
    ),
)


def main(arguments: list[str]) -> None:
    """Make every case, say which are equal; exit with 1 where one is not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks digests", description=__doc__)
    parser.add_argument("words", nargs="*", help="cases whose names begin with these; else all")
    parser.add_argument("--tree", type=Path, default=Path(__file__).resolve().parents[1], help="checkout to measure")
    parser.add_argument("--reference", action="store_true", help="write the digests as the new reference")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in this new folder and keep it")
    options = parser.parse_args(arguments)
    if options.reference and options.words:
        parser.error("Expected --reference without words, because a reference holds all cases of one commit.")
    cases = choose(options.words)
    with tempfile.TemporaryDirectory() as folder:
        digests = measure(options.keep or Path(folder), options.tree.resolve(), cases)
    machine = {
        "processor": processor(),
        "threads": _THREADS,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _LIBRARIES},
    }
    if options.reference:
        _write_reference(digests, machine, options.tree)
    else:
        compare(digests, machine)


def choose(words: Sequence[str]) -> list[Case]:
    """The cases whose names begin with one of the words (all without words), and those that they come after."""
    by_name = {case.name: case for case in CASES}
    names = {name for name in by_name if not words or name.startswith(("inputs", *words))}
    if words and not all(any(name.startswith(word) for name in by_name) for word in words):
        sys.exit(f"Expected beginnings of names of cases, found {' '.join(words)}; there are: {', '.join(by_name)}")
    for name in tuple(names):
        while name := by_name[name].after:
            names.add(name)
    return [case for case in CASES if case.name in names]


def measure(folder: Path, tree: Path, cases: Sequence[Case]) -> dict[str, str]:
    """Digest of every case, by name; «failed: …» where a command failed, «skipped» without its data."""
    folder.mkdir(parents=True, exist_ok=folder.exists() and not any(folder.iterdir()))
    write_inputs(folder)
    home = folder / "home"
    write_signing_key(home)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FACEGEN_")},
        "PYTHONPATH": str(tree),
        "FACEGEN_HOME": str(home),
        "OMP_NUM_THREADS": _THREADS,
        "HF_HUB_OFFLINE": "1",
    }
    digests = {}
    for case in cases:
        started = time.perf_counter()
        digests[case.name] = _digest_case(case, folder, environment)
        print(f"{case.name:28} {digests[case.name][:60]}  {time.perf_counter() - started:.1f} s", flush=True)
    return digests


def _digest_case(case: Case, folder: Path, environment: dict[str, str]) -> str:
    if case.needs_data and not DATA.is_dir():
        return "skipped"
    for command in case.commands:
        done = subprocess.run(
            [sys.executable, "-m", "facegen", *shlex.split(command.replace("{data}", str(DATA)))],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return f"failed: {command}: {done.stderr.strip().splitlines()[-1:]}"
    paths = sorted({path for pattern in case.outputs for path in folder.glob(pattern) if path.is_file()})
    return digest_files(paths, folder) if paths else f"failed: wrote none of {', '.join(case.outputs)}"


def compare(digests: dict[str, str], machine: dict[str, Any]) -> None:
    """Print each case with «equal», «different» or why it cannot be said; SystemExit where one is different."""
    reference = read_json(REFERENCE)
    known = reference["digests"]
    rows = []
    for name, digest in digests.items():
        expected = known.get(name, "skipped")
        is_known = "skipped" not in (digest, expected)
        said = ("equal" if digest == expected else "different") if is_known else "not compared"
        rows.append({"case": name, "result": said, "digest": digest[:12], "reference": expected[:12]})
    print(f"\ndigests against {reference['commit'][:7]}\n{table(rows)}")
    changed = [
        f"{key} {value} -> {machine[key]}" for key, value in reference["machine"].items() if machine[key] != value
    ]
    if changed:
        print(f"Measured elsewhere, so differences may come from there: {'; '.join(changed)}")
    different = [row["case"] for row in rows if row["result"] == "different"]
    if different and not changed:
        sys.exit(f"Expected the results of {reference['commit'][:7]}, found others: {', '.join(map(str, different))}")


def _write_reference(digests: dict[str, str], machine: dict[str, Any], tree: Path) -> None:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", tree, *words], capture_output=True, text=True, check=True).stdout.strip()

    failed = [name for name, digest in digests.items() if digest.startswith("failed")]
    if failed:
        sys.exit(f"Expected every case to succeed, found failures: {', '.join(failed)}; no reference was written.")
    content = {
        "name": "digests",
        "commit": git("rev-parse", "HEAD"),
        "changed_files": git("status", "--porcelain", "--", "facegen", "weights").splitlines(),
        "machine": machine,
        "measured": time.strftime("%Y-%m-%d %H:%M %z"),
        "digests": digests,
    }
    print(f"Wrote {write_json(REFERENCE, content) or REFERENCE}")


if __name__ == "__main__":
    main(sys.argv[1:])
