"""Pictures in headless Chromium: where every text stands, in which colours, and what is wrong with that."""

import html
import json
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None
)
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--window-size=1500,3000", "--virtual-time-budget=20000"),
]
CONTRAST = 4.5  # WCAG 2.1, AA

SCRIPT = r"""
function rectangle(r) { return [r.left + scrollX, r.top + scrollY, r.right + scrollX, r.bottom + scrollY]; }
function rgba(said, opacity) {  // [r, g, b, a]; of a pattern nothing
  const found = said.match(/^rgba?\(([^)]*)\)$/);
  if (!found) return [0, 0, 0, 0];
  const [r, g, b, a] = found[1].split(",").map(parseFloat);
  return [r, g, b, (a === undefined ? 1 : a) * opacity];
}
function opacity(element) {
  let all = 1;
  for (let e = element; e instanceof SVGElement; e = e.parentElement) all *= parseFloat(getComputedStyle(e).opacity);
  return all;
}
function paints(element, x, y) {  // with what an element paints at a point: its fill or its stroke, or an image
  if (element instanceof SVGImageElement) return [element, "image"];
  const at = new DOMPoint(x, y).matrixTransform(element.getScreenCTM().inverse());
  const filled = getComputedStyle(element).fill !== "none" && element.isPointInFill?.(at);
  return [element, filled || !element.isPointInFill ? "fill" : "stroke"];
}
function colour([element, by]) {  // null for what has no one colour
  if (by === "image") return null;
  const style = getComputedStyle(element);
  return rgba(style[by], parseFloat(style[by + "Opacity"]) * opacity(element));
}
function behind(text, x, y) {  // what lies below a point of a text, from the top down, and what above
  const all = document.elementsFromPoint(x, y).filter(e => e instanceof SVGGraphicsElement && e.tagName !== "svg");
  const own = all.findIndex(e => text.contains(e));
  const painted = list => list.map(e => paints(e, x, y)), below = all.slice(own + 1);
  return {above: painted(all.slice(0, Math.max(own, 0))), below: painted(below.filter(e => !e.closest("text")))};
}
function seen(text) {  // where a text stands: no theme changes that
  let r = text.getBoundingClientRect();
  if (r.top < 0 || r.bottom > innerHeight) {
    scrollTo(0, scrollY + r.top - 100);
    r = text.getBoundingClientRect();
  }
  const style = getComputedStyle(text), box = text.closest("[data-box]");
  const points = [[0.05, 0.6], [0.5, 0.4], [0.95, 0.6]];
  const at = points.map(([s, t]) => behind(text, r.left + s * r.width, r.top + t * r.height));
  const fixed = {
    said: text.textContent.trim(), place: rectangle(r), size: parseFloat(style.fontSize),
    bold: parseInt(style.fontWeight) >= 600, wide: text.getComputedTextLength(),
    box: box ? rectangle(box.querySelector("rect").getBoundingClientRect()) : null,
  };
  return {text: text, fixed: fixed, at: at};
}
function coloured(one) {
  const points = one.at.map(({above, below}) => (
    {covered: above.map(colour).some(c => !c || c[3] > 0), colours: below.map(colour)}
  ));
  return {...one.fixed, fill: colour([one.text, "fill"]), points: points};
}
const pictures = [...document.querySelectorAll("[data-picture]")].map(one => {
  const svg = one.querySelector("svg"), place = rectangle(svg.getBoundingClientRect());
  const texts = [...svg.querySelectorAll("text")].filter(e => e.textContent.trim());
  return [one.dataset.picture, place, texts.map(seen)];
});
function measured() {
  const one = ([name, place, texts]) => [name, {picture: place, texts: texts.map(coloured)}];
  return Object.fromEntries(pictures.map(one));
}
function darken() {  // what (prefers-color-scheme: dark) says holds from now on
  for (const sheet of document.styleSheets)
    for (const rule of sheet.cssRules)
      if (/prefers-color-scheme:\s*dark/.test(rule.media?.mediaText)) rule.media.mediaText = "all";
}
const result = {as_it_is: measured()};
darken();
result.dark = measured();
document.getElementById("result").textContent = JSON.stringify(result);
"""


def measure(pictures: dict[str, str], folder: Path) -> dict[str, dict]:
    """{"as_it_is", "dark": {name: where everything stands}} of SVGs, all in one page and one start of the browser."""
    shown = "".join(f'<div data-picture="{html.escape(name)}">{_inline(svg)}</div>' for name, svg in pictures.items())
    page = folder / "pictures.html"
    style = "body{margin:0}div{margin:10px}svg{max-width:none!important}pre{display:none}"
    page.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><style>{style}</style>{shown}<pre id="result"></pre>'
        f"<script>{SCRIPT}</script>"
    )
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", page.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    _, _, written = run.stdout.partition('<pre id="result">')
    if not written or written.startswith("</pre>"):
        raise RuntimeError(f"the browser gave no measures: {run.stderr[-2000:]}")
    return json.loads(html.unescape(written.partition("</pre>")[0]))


def findings(measures: dict) -> list[str]:
    """What is wrong with a picture: texts that overlap, leave it or their box, are covered, or are hard to read."""
    texts, found = measures["texts"], []
    for text in texts:
        said = repr(text["said"])
        if not _within(text["place"], measures["picture"]):
            found.append(f"{said} leaves the picture")
        if text["box"] and not _within(text["place"], text["box"]):
            found.append(f"{said} leaves its box")
        if any(point["covered"] for point in text["points"]):
            found.append(f"{said} is covered")
        least = min(contrast(text["fill"], point["colours"]) for point in text["points"])
        if least < CONTRAST:
            found.append(f"{said} has contrast {least:.2f}")
    for one, other in combinations(texts, 2):
        if _overlap(_ink(one["place"]), _ink(other["place"])):
            found.append(f"{one['said']!r} overlaps {other['said']!r}")
    return found


def contrast(fill: list[float], behind: list[list[float] | None]) -> float:
    """Of a text with what lies behind it, from the top down, on a white page; 1 on an image."""
    below = (255.0, 255.0, 255.0)
    for colour in reversed(behind):
        if colour is None:
            return 1.0
        below = _over(colour, below)
    light, dark = sorted((_luminance(_over(fill, below)), _luminance(below)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _over(colour: list[float], below: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(colour[3] * own + (1 - colour[3]) * other for own, other in zip(colour, below, strict=False))


def _luminance(colour: tuple[float, ...]) -> float:
    parts = [part / 255 for part in colour[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _ink(place: list[float]) -> list[float]:
    """Without the room above and below letters, or, of a text that stands upright, beside them."""
    left, top, right, bottom = place
    across, up = 0.5, 0.5
    if right - left < bottom - top:
        across += 0.14 * (right - left)
    else:
        up += 0.14 * (bottom - top)
    return [left + across, top + up, right - across, bottom - up]


def _within(place: list[float], box: list[float]) -> bool:
    return all(a >= b - 0.5 for a, b in zip(place[:2], box[:2], strict=True)) and all(
        a <= b + 0.5 for a, b in zip(place[2:], box[2:], strict=True)
    )


def _overlap(one: list[float], other: list[float]) -> bool:
    return all(max(one[i], other[i]) < min(one[i + 2], other[i + 2]) for i in (0, 1))


def _inline(svg: str) -> str:
    """An SVG as it stands within a page: without what is said of the file."""
    return svg[svg.index("<svg") :]
