"""Theme of the studio: colours, fonts, and CSS beyond the theme's variables.

Everything comes from the machine that shows it: system fonts, no picture or script from elsewhere.
"""

import gradio as gr
from gradio.themes.utils import colors, fonts, sizes

SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

PINE = colors.Color(
    name="pine",
    c50="#eef7f4",
    c100="#d6ece5",
    c200="#aedacd",
    c300="#7cc0af",
    c400="#48a18e",
    c500="#238573",
    c600="#136b5d",
    c700="#11564c",
    c800="#11453e",
    c900="#0f3934",
    c950="#06201e",
)
SAND = colors.Color(
    name="sand",
    c50="#faf9f6",
    c100="#f3f1ec",
    c200="#e5e1d8",
    c300="#d1cbbf",
    c400="#a39b8d",
    c500="#787065",
    c600="#5a544b",
    c700="#443f39",
    c800="#292622",
    c900="#1b1917",
    c950="#121110",
)

LOGO = (
    '<svg class="fg-logo" viewBox="0 0 48 48" aria-hidden="true">'
    '<ellipse cx="19" cy="24" rx="12.5" ry="17" fill="none" stroke="currentColor" stroke-width="3"/>'
    '<ellipse cx="29" cy="24" rx="12.5" ry="17" fill="currentColor" fill-opacity=".22" stroke="currentColor"'
    ' stroke-width="3"/></svg>'
)

PLACES = {
    False: "Everything runs on this machine, and every result says that it was made here.",
    True: "Everything runs on the machine of this studio, and every result says that it was made here.",
}
"""Where the work is done, by whether others than the owner may use the studio."""


def header(*, shared: bool) -> str:
    """The top of the page (HTML)."""
    return (
        f'<header class="fg-header">{LOGO}<div><h1>facegen</h1>'
        f"<p>A studio for synthetic faces. {PLACES[shared]}</p></div></header>"
    )


def _fonts(names: tuple[str, ...]) -> list[fonts.Font]:
    return [fonts.Font(name) for name in names]


def studio_theme() -> gr.themes.Base:
    """Warm paper, dark ink, one green; the same in the dark."""
    theme = gr.themes.Base(
        primary_hue=PINE,
        secondary_hue=PINE,
        neutral_hue=SAND,
        radius_size=sizes.radius_md,
        spacing_size=sizes.spacing_md,
        text_size=sizes.text_md,
        font=_fonts(SANS),
        font_mono=_fonts(MONO),
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="*neutral_900",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_radius="12px",
        block_shadow="none",
        block_label_background_fill="white",
        block_label_background_fill_dark="*neutral_900",
        block_label_border_width="0px",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_label_text_size="*text_sm",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_200",
        block_title_text_size="*text_sm",
        block_title_text_weight="600",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        block_info_text_size="*text_sm",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        input_border_width="1px",
        input_border_width_dark="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_500",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        checkbox_background_color_selected="*primary_600",
        checkbox_border_color="*neutral_400",
        checkbox_border_color_dark="*neutral_400",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_border_color="transparent",
        checkbox_label_border_color_dark="transparent",
        checkbox_label_shadow="none",
        button_border_width="1px",
        button_border_width_dark="1px",
        button_large_radius="10px",
        button_medium_radius="10px",
        button_small_radius="8px",
        button_large_text_weight="600",
        button_medium_text_weight="600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        link_text_color="*primary_700",
        link_text_color_hover="*primary_800",
        link_text_color_visited="*primary_700",
        link_text_color_active="*primary_800",
        link_text_color_dark="*primary_300",
        link_text_color_hover_dark="*primary_200",
        link_text_color_visited_dark="*primary_300",
        link_text_color_active_dark="*primary_200",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        button_primary_border_color="*primary_600",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_secondary_text_color="*neutral_800",
        button_secondary_text_color_dark="*neutral_100",
        button_cancel_background_fill="white",
        button_cancel_background_fill_hover="#fdeeea",
        button_cancel_background_fill_dark="*neutral_800",
        button_cancel_text_color="#a8321a",
        button_cancel_text_color_dark="#f0937e",
        button_cancel_border_color="#e3b5aa",
        button_cancel_border_color_dark="#6b3529",
    )


CSS = """
.gradio-container { width: 100% !important; max-width: 1240px !important; margin: 0 auto !important;
  padding: 0 !important; }
/* clip, not hidden: what is to stay in sight could not stick otherwise */
.gradio-container { overflow: clip !important; }
.gradio-container > .main { padding: 0 clamp(14px, 3vw, 28px) 32px !important; }
.html-container { padding: 0 !important; }
.fg-header { display: flex; align-items: center; gap: 14px; padding: 14px 0 4px; }
.fg-header h1 { font-size: 1.65rem; line-height: 1.1; font-weight: 700; letter-spacing: -.025em; margin: 0; }
.fg-header p { margin: 4px 0 0; color: var(--body-text-color-subdued); font-size: .95rem; }
.fg-logo { width: 44px; height: 44px; flex: none; color: var(--primary-600); }
.dark .fg-logo { color: var(--primary-400); }

.fg-consent { border: 1px solid var(--primary-200) !important; background: var(--primary-50) !important;
  padding: 12px 16px !important; }
.dark .fg-consent { border-color: var(--primary-800) !important; background: var(--primary-950) !important; }
.fg-consent label span { font-weight: 500; white-space: normal; }

.fg-consent.missing { border-color: #c2410c !important; outline: 3px solid #c2410c; outline-offset: 2px; }
.dark .fg-consent.missing { border-color: #f0937e !important; outline-color: #f0937e; }

.fg-step { display: flex; align-items: baseline; gap: 10px; margin: 10px 0 -4px; }
.fg-step b { flex: none; width: 24px; height: 24px; border-radius: 50%; background: var(--primary-600); color: #fff;
  font-size: .8rem; line-height: 24px; text-align: center; align-self: center; }
.fg-step h2 { margin: 0; flex: none; font-size: 1.08rem; font-weight: 650; letter-spacing: -.01em; }
.fg-step span { color: var(--body-text-color-subdued); font-size: .9rem; }
.fg-hint { color: var(--body-text-color-subdued); font-size: .92rem; }

.fg-status { border: 1px solid var(--border-color-primary); border-radius: 12px; padding: 12px 16px;
  background: var(--block-background-fill); }
.fg-status .fg-line { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: baseline; }
.fg-status .fg-line b { font-weight: 650; }
.fg-status .fg-line span { color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }
.fg-status .fg-text { margin-top: 2px; overflow-wrap: anywhere; }
.fg-bar { height: 8px; border-radius: 4px; background: var(--neutral-200); overflow: hidden; margin-top: 10px; }
.dark .fg-bar { background: var(--neutral-800); }
.fg-bar i { display: block; height: 100%; border-radius: 4px; background: var(--primary-600); transition: width .4s; }
/* whoever waits sees that something goes on, however long a step takes */
.fg-status.running .fg-bar, .fg-status.queued .fg-bar { position: relative; }
.fg-status.running .fg-bar::after, .fg-status.queued .fg-bar::after { content: ""; position: absolute; inset: 0; width: 30%;
  background: linear-gradient(90deg, transparent, rgb(255 255 255 / .55), transparent); animation: fg-sweep 1.4s linear infinite; }
@keyframes fg-sweep { from { transform: translateX(-100%); } to { transform: translateX(340%); } }
.fg-status.failed, .fg-status.notice { border-color: #e3b5aa; background: #fdf4f1; color: #7c2412; }
.dark .fg-status.failed, .dark .fg-status.notice { border-color: #6b3529; background: #2a1712; color: #f3b3a4; }
.fg-status.done { border-color: var(--primary-300); background: var(--primary-50); }
.dark .fg-status.done { border-color: var(--primary-800); background: var(--primary-950); }

/* what is missing is said while the job says nothing; a file that was refused is named beside */
.fg-job:not(:has(.fg-status)), .fg-job:has(.fg-status) + .fg-ready:not(:has(.notice)) { display: none !important; }

.fg-examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 8px; margin-top: 8px; }
.fg-examples button { display: flex; align-items: center; gap: 8px; padding: 5px 10px 5px 6px; cursor: pointer;
  text-align: left; line-height: 1.25;
  border: 1px solid var(--border-color-primary); border-radius: 10px; background: var(--block-background-fill);
  color: var(--body-text-color); font: inherit; font-size: .88rem; font-weight: 550; }
.fg-examples button:hover { border-color: var(--primary-500); }
.fg-examples img { width: 36px; height: 36px; border-radius: 7px; object-fit: cover; }
.fg-examples img + img { margin-left: -14px; box-shadow: -2px 0 0 var(--block-background-fill); }
.fg-columns { gap: 28px !important; }
.fg-buttons { flex-wrap: wrap; }

.fg-people { gap: 10px !important; flex-wrap: wrap; }
.fg-person { flex: 0 1 184px !important; min-width: 150px !important; gap: 0 !important; }
.fg-person .image-container, .fg-person img { border-radius: 10px; }

.fg-log textarea, .fg-log pre, .fg-command code { font-family: var(--font-mono) !important;
  font-size: .82rem !important; line-height: 1.45 !important; }
.fg-command { border-left: 3px solid var(--primary-500); padding-left: 10px; }
.fg-command, .fg-command code { white-space: pre-wrap !important; overflow-wrap: anywhere; }

/* the frame stays in sight while the settings of a merge are moved */
#swap-merge { max-height: 440px; overflow-y: auto; }
#swap-merge > * { flex-shrink: 0; }
/* the box's title hides no face */
#swap-sources .grid-wrap { padding-top: 30px; }
#brush-editor .layer-wrap { display: none; }
.fg-faces .grid-container { grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)) !important; }
.fg-faces .caption-label { font-size: .72rem; max-width: 100%; left: auto; padding: 1px 6px; }

/* an option whose model is still on the Hub */
#hub-options { display: none; }
li[role="option"][aria-disabled="true"] { color: var(--neutral-600) !important; font-style: italic; cursor: help !important; }
.dark li[role="option"][aria-disabled="true"] { color: var(--neutral-400) !important; }

/* words end before the arrow of their list */
input[role="combobox"] { text-overflow: ellipsis; padding-right: 26px !important; }

table.fg-table { width: 100%; border-collapse: collapse; font-size: .93rem; }
.fg-table th { text-align: left; font-weight: 600; color: var(--body-text-color-subdued); font-size: .82rem;
  padding: 6px 10px !important; border: 0 !important;
  border-bottom: 1px solid var(--border-color-primary) !important; }
.fg-table td { padding: 9px 10px !important; border: 0 !important; vertical-align: top;
  border-bottom: 1px solid var(--border-color-primary) !important; overflow-wrap: anywhere; }
table.fg-table { margin: 0 !important; }
.fg-table td a { margin: 0; padding: 0; }
table.fg-table, .fg-table thead, .fg-table tbody, .fg-table tr { border: 0 !important; }
.fg-facts td:first-child { white-space: nowrap; width: 1%; }
.fg-table td .fg-bar { margin-top: 6px; min-width: 110px; }
#models-list table { table-layout: fixed; }
#models-list th:nth-child(1) { width: 23%; }
#models-list th:nth-child(2) { width: 22%; }
#models-list th:nth-child(3) { width: 26%; }
#models-list th:nth-child(4) { width: 10%; }
#models-list td, #models-list td.fg-short { overflow-wrap: break-word; white-space: normal; }
.fg-chip { display: inline-block; padding: 1px 9px; border-radius: 999px; font-size: .8rem; font-weight: 600;
  white-space: nowrap; background: var(--neutral-100); color: var(--neutral-700); }
.fg-chip.running, .fg-chip.present, .fg-chip.done { background: var(--primary-100); color: var(--primary-800); }
.fg-chip.failed, .fg-chip.cancelled { background: #fbe4dd; color: #8a2b16; }
.dark .fg-chip { background: var(--neutral-800); color: var(--neutral-200); }
.dark .fg-chip.running, .dark .fg-chip.present, .dark .fg-chip.done { background: var(--primary-900);
  color: var(--primary-200); }

.dark input[type="range"] { --neutral-200: var(--neutral-700); }
input[type="range"]::-webkit-slider-thumb { border: 2px solid var(--primary-600) !important; }
.tab-container button { font-weight: 600 !important; }
.tab-container button.selected { color: var(--primary-600) !important; }
.dark .tab-container button.selected { color: var(--primary-300) !important; }
/* whoever goes by keyboard sees where; a ring outside of the control, and inside where its box would cut it off */
:is(button, a, input, textarea, select, summary, canvas, [tabindex], [role="tab"]):focus-visible {
  outline: 3px solid var(--primary-500) !important; outline-offset: 2px !important; }
:is(.image-container button, .upload-container, .tab-container button, .wrap input, textarea):focus-visible {
  outline-offset: -3px !important; }
.fg-link { background: none; border: 0; padding: 0; font: inherit; font-weight: 600; color: var(--primary-700);
  cursor: pointer; text-align: left; overflow-wrap: anywhere; }
.fg-link:hover { text-decoration: underline; }
.dark .fg-link { color: var(--primary-300); }
.fg-table tr.chosen td { background: var(--primary-50); }
.dark .fg-table tr.chosen td { background: var(--primary-950); }
.fg-table td.fg-short { white-space: nowrap; }
footer, #time, #duration, .timestamps time, .controls button.playback { color: var(--body-text-color-subdued) !important; }
footer .divider { display: none; }

@media (max-width: 640px) {
  .fg-header { padding: 14px 0 6px; gap: 10px; }
  .fg-header h1 { font-size: 1.35rem; }
  .fg-header p { font-size: .86rem; }
  .fg-logo { width: 34px; height: 34px; align-self: flex-start; }
  .tab-container button { padding: 0 11px !important; }
  .fg-step { flex-wrap: wrap; row-gap: 0; }
  .fg-step span { flex-basis: 100%; padding-left: 34px; }
  .fg-table thead { display: none; }
  .fg-table tr { display: block; padding: 8px 0; border-bottom: 1px solid var(--border-color-primary) !important; }
  .fg-table td { display: block; border: 0 !important; padding: 2px 4px !important; }
  .fg-table td[data-label]::before { content: attr(data-label) ": "; color: var(--body-text-color-subdued); }
  #brush-editor { height: 310px !important; }
  /* one thing scrolls, the page; the frame keeps to its top until the settings are past */
  #swap-merge { max-height: none; overflow: visible; }
  #swap-look:has(#swap-merge:not(.hide)) #swap-compare { position: sticky !important; top: 0; z-index: 60;
    height: 270px !important; }
  #swap-look:has(#swap-merge:not(.hide)) #swap-compare img { width: 100% !important; height: 268px !important; }
}
@media (min-width: 641px) {
  /* the face stays in sight while the pointer is among its sliders: a sticky box ends with its column */
  #generate-columns > .column:last-child { align-self: stretch !important; }
  #generate-columns:has(> .column:first-child:hover) #generate-face { position: sticky !important; top: 12px; z-index: 60;
    box-shadow: 0 6px 10px -6px rgb(0 0 0 / .35); }
}
@media (max-width: 640px) {
  /* the face comes first and stays in sight while its sliders are moved */
  #generate-columns { gap: 14px !important; }
  #generate-columns > .column { display: contents; }
  #generate-face { order: -1; position: sticky !important; top: 0; z-index: 60; height: 250px !important;
    box-shadow: 0 6px 10px -6px rgb(0 0 0 / .35); }
}
@media (max-width: 640px) {
  /* what was made comes first, as it does on a wide screen */
  #swap-columns, #talk-columns, #faceset-columns, #flow-columns, #verify-columns, #live-columns { gap: 14px !important; }
  #swap-columns > .column, #talk-columns > .column, #faceset-columns > .column, #flow-columns > .column,
  #verify-columns > .column, #live-columns > .column, #swap-look {
    display: contents; }
  #swap-compare, #talk-shown, #faceset-gallery, #flow-preview, #verify-example, #verify-report, #live-status,
  #live-result { order: -1; }
  #talk-shown .block { height: 190px !important; }
  /* both stay in sight of the camera below */
  #live-status, #live-result { position: sticky !important; top: 0; z-index: 60; }
  #live-result { order: -2; height: 220px !important; }
  #live-status { top: 226px; }
  #flow-preview { height: 230px !important; }
  #swap-compare { height: 270px !important; }
  /* both pictures fill their box, so that they lie on each other */
  #swap-compare img { height: 268px !important; }
  #faceset-gallery { height: 220px !important; }
  /* consent lies where one presses Run until it is given */
  .fg-consent:not(:has(input:checked)) { position: fixed !important; inset: auto 0 0 0; z-index: 90; border-radius: 0 !important;
    padding: 8px 14px !important; box-shadow: 0 -4px 10px -6px rgb(0 0 0 / .35); }
  .fg-consent:not(:has(input:checked)) label span { font-size: .82rem; line-height: 1.3; }
  body:has(.fg-consent input:not(:checked)) .gradio-container { padding-bottom: 90px !important; }
}
@media (pointer: coarse) {
  input[type="range"]::-webkit-slider-thumb { width: 26px !important; height: 26px !important;
    margin-top: -9px !important; }
}
"""
