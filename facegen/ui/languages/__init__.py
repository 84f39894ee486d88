"""The page in the visitor's language: one table a language, from the English text as it stands in the code.

Gradio takes the tables as its `gr.I18n` and translates choices itself; it knows no text inside of HTML. So a script in the
page's head, `LANGUAGE`, lays the same tables over labels, cards and refusals as they appear. A text may have places {0}, {1}
for what differs; what stands there is translated, too, where the table has it.
"""

import json
from functools import cache
from pathlib import Path

import gradio as gr

LANGUAGES = ("de", "es", "ja", "ko", "zh")
"""Those with a table; English is what the code says."""
_ENGLISH = {"common.complete": "done"}
"""What Gradio says to screen readers under a key that its own tables lack."""


@cache
def read_table(language: str) -> dict[str, str]:
    """English text -> text of the language."""
    path = Path(__file__).with_name(f"{language}.json")
    table: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return table


def translations() -> gr.I18n:
    """The tables as Gradio takes them; the browser chooses."""
    return gr.I18n(en=_ENGLISH, **{language: read_table(language) for language in LANGUAGES})


LANGUAGE = """
<script>
(() => {
  if (window.fgTranslate) return;
  const wanted = (navigator.language || 'en').toLowerCase().split('-')[0];
  const attributes = ['aria-label', 'placeholder', 'title', 'alt', 'data-label'];
  const skipped = 'script, style, textarea, pre, code, [contenteditable]';
  const memory = new Map();
  let table = null, patterns = [];
  const load = () => {
    const found = (window.gradio_config?.i18n_translations ?? {})[wanted];
    if (!found) return;
    table = new Map(Object.entries(found));
    const escape = (words) => words.replace(/[.*+?^$()|[\\]\\\\]/g, '\\\\$&');
    patterns = [...table].filter(([key]) => key.includes('{0}'))
      .sort(([a], [b]) => b.replace(/\\{\\d\\}/g, '').length - a.replace(/\\{\\d\\}/g, '').length)
      .map(([key, words]) => {
        const places = [...key.matchAll(/\\{(\\d)\\}/g)].map((match) => match[1]);
        return [new RegExp('^' + key.split(/\\{\\d\\}/).map(escape).join('(.+?)') + '$'), places, words];
      });
    document.documentElement.lang = wanted;
  };
  const look = (words, depth) => {
    if (table.has(words)) return table.get(words);
    const sentences = words.split(/(?<=[.!?]) (?=\\S)/);
    if (sentences.length > 1) {
      const done = sentences.map((sentence) => look(sentence, depth));
      return done.some((one) => one !== undefined) ? done.map((one, n) => one ?? sentences[n]).join(' ').replace(/。 /g, '。') : undefined;
    }
    if (depth > 3) return undefined;
    for (const [pattern, places, target] of patterns) {
      const match = words.match(pattern);
      if (!match) continue;
      return target.replace(/\\{(\\d)\\}/g, (_, place) => {
        const part = match[places.indexOf(place) + 1];
        return look(part, depth + 1) ?? part;
      });
    }
    return undefined;
  };
  const translate = (text) => {
    const words = text.trim().replace(/\\s+/g, ' ');
    if (!words || words.length > 600 || !/[A-Za-z]/.test(words)) return text;
    if (!memory.has(words)) {
      if (memory.size > 4000) memory.clear();
      memory.set(words, look(words, 0));
    }
    const found = memory.get(words);
    return found === undefined ? text : text.match(/^\\s*/)[0] + found + text.match(/\\s*$/)[0];
  };
  window.fgTranslate = translate;
  const text = (node) => {
    // what was translated here before is not looked up again
    if (node.fgText === node.nodeValue || node.parentElement?.closest(skipped)) return;
    const found = translate(node.nodeValue);
    if (found !== node.nodeValue) node.nodeValue = node.fgText = found;
  };
  const attribute = (element, name) => {
    const value = element.getAttribute(name);
    if (!value || (element.fgNames ??= {})[name] === value) return;
    const found = translate(value);
    if (found !== value) element.setAttribute(name, element.fgNames[name] = found);
  };
  const walk = (root) => {
    if (root.nodeType === Node.TEXT_NODE) return text(root);
    if (root.nodeType !== Node.ELEMENT_NODE) return;
    const nodes = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    for (let node = root; node; node = nodes.nextNode()) {
      if (node.nodeType === Node.TEXT_NODE) text(node);
      else for (const name of attributes) if (node.hasAttribute(name)) attribute(node, name);
    }
  };
  new MutationObserver((records) => {
    if (!table) {
      load();
      if (!table) return;
      walk(document.documentElement);
    }
    for (const record of records) {
      if (record.type === 'attributes') attribute(record.target, record.attributeName);
      else if (record.type === 'characterData') text(record.target);
      else record.addedNodes.forEach(walk);
    }
  }).observe(document.documentElement, {
    childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: attributes,
  });
})();
</script>
"""
