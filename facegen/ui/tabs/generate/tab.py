"""The Generate tab: five sliders with a live face, several at once, sweeps, a photograph to begin with, downloads."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from facegen.generate.editing.directions import NAMES as DIRECTIONS
from facegen.generate.request import GenerateOptions
from facegen.generate.sliders import NAMES, Sliders
from facegen.ui import presets
from facegen.ui.handlers import Shell, note, reveal, show_errors, step
from facegen.ui.options import Widgets, widgets
from facegen.ui.presets import reset_button
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.generate.faces import MOST_AT_ONCE, VARIED, FaceEditor, FaceSpec, changed_sliders, parse_face
from facegen.ui.tabs.generate.photo import LIVE, SLOW, PhotoInputs, build_photo, wire_photo

LABELS = {"eyes": "Eyes", "mouth": "Mouth", "hair": "Hair", "background": "Background", "head": "Head"}
FIRST_SEED = 107
FIRST = Sliders(hair=0.6, background=0.75)
"""Seed and sliders of the face that is stored with the package."""
_HISTORY = 24


@dataclass(frozen=True, kw_only=True)
class FaceInputs:
    """The widgets of a face."""

    sliders: tuple[gr.Slider, ...]
    seed: gr.Number
    temperature: gr.Slider
    retouch: gr.Checkbox
    best_of: gr.Slider
    other_seed: gr.Number
    mix: gr.Slider
    more: tuple[gr.Slider, ...]
    photo: gr.State
    """The photograph that is edited, as (path, its face, its expression), or None."""
    varied: gr.State
    """Names of the sliders that nobody touched."""

    @property
    def live_sliders(self) -> list[Any]:
        """Sliders that the face follows while they move."""
        return [*self.sliders, self.temperature, self.mix, *self.more]

    @property
    def components(self) -> list[Any]:
        """All of them, in the order in which `read` takes their values."""
        return [
            *self.sliders,
            self.seed,
            self.temperature,
            self.retouch,
            self.best_of,
            self.other_seed,
            self.mix,
            self.photo,
            self.varied,
            *self.more,
        ]

    def read(self, values: Sequence[Any]) -> FaceSpec:
        """What the widgets' values ask for.

        Raises:
            InputError: a value is missing or out of bounds.
        """
        sliders, rest = values[:5], values[5:]
        seed, temperature, retouch, best_of, other, mix, photo, varied = rest[:8]
        path, encoded, expression = photo or ("", None, "")
        return parse_face(
            sliders, seed, temperature, retouch, best_of, rest[8:], expression,
            other_seed=int(other or 0), mix=float(mix), photo=path, encoded=encoded, varied=tuple(varied),
        )  # fmt: skip


def build(services: Services, shell: Shell, tab: gr.Tab) -> FaceEditor:
    """Lay out the tab and wire it; answers what draws its faces."""
    editor = FaceEditor(services.models)
    with gr.Row(equal_height=False, elem_classes="fg-columns", elem_id="generate-columns"):
        with gr.Column(scale=5, min_width=300):
            inputs, dice, lock, photo, changes = _ask(services, shell)
        with gr.Column(scale=6, min_width=300):
            status, face, compare, look, marked = _show_face(services)
            several, made_grid, across, down, sweep, strip, save = _show_more()
            history_state = gr.State([])
            history = gr.Gallery(
                label="History of this visit",
                columns=6,
                height=220,
                object_fit="contain",
                allow_preview=False,
                fit_columns=False,
                interactive=False,
                visible=False,
                buttons=[],
                elem_id="generate-history",
            )
    _wire_live(editor, inputs, (dice, lock, photo.drop), changes, face, status, tab)
    _wire_history(editor, inputs, face, history_state, history, dice)
    wire_photo(services, editor, shell, inputs, photo, face, status)
    _wire_more(editor, inputs, (look, compare, marked), several, made_grid, (across, down, sweep, strip), face, status)
    _wire_files(services, shell, editor, inputs, save, several, across, status)
    return editor


# -- layout ----------------------------------------------------------------------------------------------------------


def _ask(
    services: Services, shell: Shell
) -> tuple[FaceInputs, gr.Button, gr.Checkbox, PhotoInputs, list[tuple[Any, tuple[str, ...] | None]]]:
    """The widgets of a face, and the events that set several of them, with the sliders that follow the seed from then on (None: as before)."""
    gr.HTML(step(1, "How does the face look?", "Move a slider: the face follows."))
    sliders = widgets(Sliders, NAMES, labels=LABELS, first=FIRST)
    changes: list[tuple[Any, tuple[str, ...] | None]] = [(reset_button(sliders.components), VARIED)]
    gr.HTML(step(2, "Which face?"))
    with gr.Row(elem_classes="fg-buttons"):
        seed = gr.Number(FIRST_SEED, label="Seed", precision=0, minimum=0, min_width=110, elem_id="generate-seed")
        dice = gr.Button("Another face", variant="primary", min_width=130, elem_id="generate-dice")
        lock = gr.Checkbox(label="Lock the seed", min_width=110, elem_id="generate-lock")
    options = widgets(
        GenerateOptions,
        ("temperature", "retouch", "best_of"),
        labels={"temperature": "Variety", "retouch": "Retouch", "best_of": "Best of"},
    )
    changes.append((reset_button(options.components), None))
    with gr.Accordion("More sliders", open=False):
        gr.HTML('<div class="fg-hint">Directions found in the generator itself; each moves one thing.</div>')
        more = tuple(gr.Slider(-3, 3, value=0, step=0.1, label=name.capitalize()) for name in DIRECTIONS)
        changes.append((reset_button(more), None))
    with gr.Accordion("Mix with another face", open=False):
        other_seed = gr.Number(11, label="Seed of the other face", precision=0, minimum=0)
        mix = gr.Slider(-0.5, 1.5, value=0, step=0.05, label="From this face (0) to the other (1), and beyond")
    photo = build_photo(shell.hub_options)
    numbered = Widgets(cls=GenerateOptions, names=("seed", *options.names), components=(seed, *options.components))
    changes += [(event, ()) for event in presets.build(services, shell, "generate", [sliders, numbered])]
    temperature, retouch, best_of = options.components
    inputs = FaceInputs(
        sliders=sliders.components, seed=seed, temperature=temperature, retouch=retouch, best_of=best_of,
        other_seed=other_seed, mix=mix, more=more, photo=gr.State(None), varied=gr.State(VARIED),
    )  # fmt: skip
    return inputs, dice, lock, photo, changes


def _show_face(services: Services) -> tuple[gr.HTML, gr.Image, gr.ImageSlider, gr.Button, gr.Image]:
    gr.HTML(step(3, "The face", "Drawn by the generator: nobody, unless you start from a photo."))
    # the stored picture of the first seed is seen while the generator is being loaded
    first = str(services.examples.file("bea.jpg"))
    face = gr.Image(first, label="Face", interactive=False, height=400, buttons=["fullscreen"], elem_id="generate-face")
    status = gr.HTML(note("The generator is being loaded; this face does not exist."), elem_id="generate-status")
    with gr.Accordion("Before and after the retouch", open=False):
        look = gr.Button("Show both", size="sm")
        compare = gr.ImageSlider(label="Before | after", interactive=False, visible=False, height=400, max_height=380)
        marked = gr.Image(
            label="Orange: where it looks generated most", interactive=False, visible=False, buttons=["fullscreen"]
        )
    return status, face, compare, look, marked


def _show_more() -> tuple[Any, ...]:
    gr.HTML(step(4, "Several, sweeps, files"))
    with gr.Tabs():
        with gr.Tab("Several at once"):
            several = gr.Slider(2, MOST_AT_ONCE, value=8, step=1, label="How many", elem_id="generate-several")
            draw = gr.Button("Draw them", elem_id="generate-grid-button")
            grid = gr.Gallery(
                label="Choose one", columns=4, height=330, interactive=False, allow_preview=False, visible=False, buttons=[],
                elem_id="generate-grid",
            )  # fmt: skip
        with gr.Tab("Sweep"):
            choices = [(LABELS[name], name) for name in NAMES]
            with gr.Row():
                across = gr.Dropdown(choices, value="mouth", label="From 0 to 1")
                down = gr.Dropdown([("Nothing", ""), *choices], value="", label="And downwards")
            sweep = gr.Button("Draw the sweep", elem_id="generate-sweep-button")
            strip = gr.Image(
                label="Sweep",
                interactive=False,
                visible=False,
                buttons=["download", "fullscreen"],
                elem_id="generate-strip",
            )
    with gr.Row(elem_classes="fg-buttons"):
        png = gr.Button("PNG", min_width=90, elem_id="generate-png")
        archive = gr.Button("ZIP of several", min_width=90)
        film = gr.Button("MP4 of the sweep", min_width=90)
    files = gr.File(
        label="Signed files", interactive=False, visible=False, file_count="multiple", elem_id="generate-files"
    )
    return (several, draw), grid, across, down, sweep, strip, (png, archive, film, files)


# -- events ----------------------------------------------------------------------------------------------------------


def _wire_live(
    editor: FaceEditor,
    inputs: FaceInputs,
    rolling: tuple[gr.Button, gr.Checkbox, gr.Image],
    changes: list[tuple[Any, tuple[str, ...] | None]],
    face: gr.Image,
    status: gr.HTML,
    tab: gr.Tab,
) -> None:
    dice, lock, drop = rolling

    @show_errors(2)
    def draw(*values: Any) -> Any:
        spec = inputs.read(values)
        return note(_words(spec)), editor.picture(spec)

    @show_errors(6)
    def roll(is_locked: bool, *values: Any) -> Any:
        """Another seed; a photograph is left for it."""
        spec = inputs.read(values)
        left = "The photograph was left: another face that does not exist." if spec.encoded is not None else ""
        spec = replace(spec, encoded=None, photo="")
        new = editor.with_seed(spec, spec.options.seed if is_locked else editor.another_seed(spec))
        return note(left or "Another face."), new.options.seed, *_varied_values(new), None, None

    @show_errors(3)
    def follow_seed(*values: Any) -> Any:
        spec = inputs.read(values)
        return gr.skip(), *_varied_values(editor.with_seed(spec, spec.options.seed))

    def touch(name: str, before: Sequence[str]) -> tuple[str, ...]:
        return tuple(other for other in before if other != name)

    @show_errors(2)
    def refine(*values: Any) -> Any:
        spec = inputs.read(values)
        return gr.skip(), editor.picture(spec, fine=True) if spec.is_enlarged else gr.skip()

    outputs = [status, face]
    refining: dict[str, Any] = {"fn": refine, "inputs": inputs.components, "outputs": outputs, **LIVE}
    varied = [slider for name, slider in zip(NAMES, inputs.sliders, strict=True) if name in VARIED]
    for name, slider in zip(VARIED, varied, strict=True):
        slider.input(
            lambda before, name=name: touch(name, before), inputs.varied, inputs.varied, show_progress="hidden",
            api_visibility="private",
        )  # fmt: skip
    for event, names in changes:
        if names is not None:
            event = event.then(lambda names=names: names, None, inputs.varied, **LIVE)
        if names:
            event = event.then(follow_seed, inputs.components, [status, *varied], **LIVE)
        event.then(draw, inputs.components, outputs, **LIVE).then(**refining)
    for slider in inputs.live_sliders:
        slider.input(draw, inputs.components, outputs, **LIVE)
        slider.release(**refining)
    for chosen in (inputs.other_seed, inputs.retouch):
        chosen.input(draw, inputs.components, outputs, **LIVE).then(**refining)
    inputs.seed.input(follow_seed, inputs.components, [status, *varied], **LIVE).then(
        draw, inputs.components, outputs, **LIVE
    ).then(**refining)
    rolled = [status, inputs.seed, *varied, inputs.photo, drop]
    dice.click(roll, [lock, *inputs.components], rolled, **LIVE).then(draw, inputs.components, outputs, **LIVE).then(
        **refining
    )
    tab.select(draw, inputs.components, outputs, **LIVE).then(**refining)


def _wire_history(
    editor: FaceEditor, inputs: FaceInputs, face: gr.Image, kept: gr.State, history: gr.Gallery, dice: gr.Button
) -> None:
    def keep(before: list[Any], *values: Any) -> Any:
        spec = inputs.read(values)
        now = [(editor.picture(spec), _caption(spec), values), *before][:_HISTORY]
        return now, gr.Gallery([(picture, words) for picture, words, _ in now], visible=True)

    def recall(before: list[Any], event: gr.SelectData) -> Any:
        picture, _, values = before[event.index]
        return picture, *values

    for slider in inputs.sliders:
        slider.release(keep, [kept, *inputs.components], [kept, history], show_progress="hidden", **SLOW)
    inputs.seed.change(keep, [kept, *inputs.components], [kept, history], show_progress="hidden", **SLOW)
    history.select(recall, kept, [face, *inputs.components], show_progress="hidden", api_visibility="private")


def _wire_more(
    editor: FaceEditor,
    inputs: FaceInputs,
    comparing: tuple[gr.Button, gr.ImageSlider, gr.Image],
    several: tuple[gr.Slider, gr.Button],
    grid: gr.Gallery,
    sweeping: tuple[gr.Dropdown, gr.Dropdown, gr.Button, gr.Image],
    face: gr.Image,
    status: gr.HTML,
) -> None:
    @show_errors(3)
    def both(*values: Any) -> Any:
        comparison = editor.before_and_after(inputs.read(values))
        before, after = comparison.scores
        words = f"Left as drawn, right retouched. Realism {before:.2f} and {after:.2f} (1: a photograph)."
        return note(words), (comparison.before, comparison.after), comparison.marked

    @show_errors(3)
    def draw_several(count: float, *values: Any) -> Any:
        return note("Click the one that you like."), *editor.grid(inputs.read(values), int(count))

    @show_errors(2)
    def draw_sweep(across: str, down: str, *values: Any) -> Any:
        return note(f"{LABELS[across]} from 0 to 1."), editor.sweep(inputs.read(values), across, down)

    def choose(event: gr.SelectData, seeds: list[int], *values: Any) -> Any:
        spec = editor.with_seed(inputs.read(values), seeds[int(event.index)])
        return spec.options.seed, *_varied_values(spec), editor.picture(spec)

    look, compare, marked = comparing
    seeds = gr.State([])
    count, draw = several
    across, down, sweep, strip = sweeping
    reveal(look, compare, marked)(both, inputs.components, [status, compare, marked], show_progress_on=compare, **SLOW)
    reveal(draw, grid)(draw_several, [count, *inputs.components], [status, grid, seeds], show_progress_on=grid, **SLOW)
    reveal(sweep, strip)(
        draw_sweep, [across, down, *inputs.components], [status, strip], show_progress_on=strip, **SLOW
    )
    varied = [slider for name, slider in zip(NAMES, inputs.sliders, strict=True) if name in VARIED]
    chosen = [inputs.seed, *varied, face]
    grid.select(choose, [seeds, *inputs.components], chosen, show_progress="hidden", api_visibility="private")


def _wire_files(
    services: Services,
    shell: Shell,
    editor: FaceEditor,
    inputs: FaceInputs,
    saving: tuple[gr.Button, gr.Button, gr.Button, gr.File],
    several: tuple[gr.Slider, gr.Button],
    across: gr.Dropdown,
    status: gr.HTML,
) -> None:
    @show_errors(2)
    def save_one(visitor: Visitor, *values: Any) -> Any:
        return note("Marked and signed; the request is in its metadata."), editor.write(
            services, visitor, inputs.read(values)
        )

    @show_errors(2)
    def save_several(visitor: Visitor, count: float, *values: Any) -> Any:
        return note("Marked and signed."), [editor.write_zip(services, visitor, inputs.read(values), int(count))]

    @show_errors(2)
    def save_film(visitor: Visitor, name: str, *values: Any) -> Any:
        files = editor.write(services, visitor, inputs.read(values), film=name)
        return note("The strip and the film of the sweep."), files

    png, archive, film, files = saving
    outputs, visitor = [status, files], shell.visitor
    for button, save, extra in (
        (png, save_one, []),
        (archive, save_several, [several[0]]),
        (film, save_film, [across]),
    ):
        reveal(button, files)(save, [visitor, *extra, *inputs.components], outputs, show_progress_on=files, **SLOW)


def _varied_values(spec: FaceSpec) -> list[float]:
    return [getattr(spec.sliders, name) for name in VARIED]


def _caption(spec: FaceSpec) -> str:
    """What tells one face of the history from the next: its seed, and what is unusual about it."""
    who = "Photo" if spec.encoded is not None else str(spec.options.seed)
    return " · ".join([who, *(f"{name} {value:.2f}" for name, value in changed_sliders(spec.sliders))])


def _words(spec: FaceSpec) -> str:
    who = "Your photograph" if spec.encoded is not None else f"Seed {spec.options.seed}"
    values = ", ".join(f"{name} {value:.2f}" for name, value in zip(NAMES, spec.sliders.values(), strict=True))
    words = html.unescape(f"{who}: {values}")
    limits = list(spec.encoded.describe_limits(spec.sliders)) if spec.encoded is not None else []
    return " ".join([f"{words}.", *limits]) if limits else words
