"""How everything looks: one short style sheet that travels with each output, since a saved notebook has nothing else.

Colours come from JupyterLab's own variables where it has them, else from a light and a dark palette; a card paints its own
ground, so that its text can be read on any page. Some hosts strip all styles: the markup has to read well by itself.
"""

from __future__ import annotations

from patter_nb.display.markup import Html, join

__all__ = ["COLOURS", "STYLE", "page"]

COLOURS = {
    "ink": ("#1f2328", "#e6e8eb"),
    "dim": ("#59636e", "#9aa4af"),
    "ghost": ("#868e98", "#77818d"),
    "line": ("#d8dee4", "#343a42"),
    "ground": ("#ffffff", "#16191d"),
    "you": ("#1d4ed8", "#8ab0ff"),
    "agent": ("#0f766e", "#2dd4bf"),
    "ok": ("#15803d", "#4ade80"),
    "warn": ("#b45309", "#fbb04d"),
    "bad": ("#b91c1c", "#fb8585"),
    "tool": ("#6d28d9", "#b79cff"),
}
"""Each colour by what it says, for light and for dark."""

_JUPYTERLAB = {"ink": "content-font-color1", "dim": "content-font-color2", "line": "border-color2", "ground": "layout-color0"}


def _palette() -> str:
    """The colours as variables, JupyterLab's own first."""
    both = {name: f"light-dark({light},{dark})" for name, (light, dark) in COLOURS.items()}
    lab = {name: f"var(--jp-{own},{both[name]})" for name, own in _JUPYTERLAB.items()}
    return "".join(f"--{name}:{value};" for name, value in (both | lab).items())


_DARK_OR_LIGHT = "".join(
    f":is([data-jp-theme-light={is_light}],.vscode-{scheme},html[theme={scheme}]) .pnb{{color-scheme:{scheme}}}"
    for scheme, is_light in (("light", "true"), ("dark", "false"))
)
"""Where the host has a theme (JupyterLab, VS Code, Colab) it decides, else the reader's system."""

_RULES = """
.pnb.pnb{color:var(--ink);background:var(--ground);border:1px solid var(--line);border-radius:6px;padding:8px 14px;max-width:56em;
box-sizing:border-box;font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.pnb.pnb :is(p,dl,dt,dd,ol,ul,pre,table){float:none;width:auto;margin:0;padding:0;font-size:inherit}
.pnb.pnb :is(code,pre){font:12px/1.5 var(--jp-code-font-family,ui-monospace,monospace);white-space:pre-wrap;background:none;padding:0;
color:inherit}
.pnb.pnb pre{max-height:20em;overflow:auto;border-left:2px solid var(--line);padding-left:8px}
.pnb.pnb :is(small,th,summary,.pnb-dim){color:var(--dim);font-size:12px;font-weight:400}
.pnb summary{cursor:pointer}
.pnb bdi{white-space:pre-wrap}
.pnb dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:1px 12px}
.pnb dt{color:var(--dim);font-weight:400}
.pnb.pnb .pnb-talk{grid-template-columns:3.2em minmax(0,1fr);gap:4px 8px;margin:4px 0}
.pnb .pnb-talk dt{font-weight:600;white-space:nowrap}
.pnb .pnb-you{color:var(--you)}.pnb .pnb-agent{color:var(--agent)}.pnb.pnb .pnb-ok{color:var(--ok)}
.pnb.pnb .pnb-warn{color:var(--warn)}.pnb.pnb .pnb-bad{color:var(--bad)}
.pnb :is(s,em){color:var(--ghost);text-decoration:none;font-style:normal}
.pnb .pnb-card{border:1px solid var(--line);border-left:3px solid var(--tool);border-radius:4px;padding:2px 10px;margin:2px 0 6px}
.pnb .pnb-error{border-left-color:var(--bad)}
.pnb>.pnb-card{border-width:0 0 0 3px;border-radius:0;margin:2px 0}
.pnb :is(ol,ul){list-style:none}
.pnb ol>li{border-top:1px solid var(--line);margin-top:8px;padding-top:6px}
.pnb .pnb-key{display:flex;flex-wrap:wrap;gap:0 14px;font-size:12px}
.pnb .pnb-key li::before{content:"";display:inline-block;width:9px;height:9px;margin-right:5px;background:var(--c)}
.pnb .pnb-chunks i{letter-spacing:-1ch;color:transparent;border-left:1px solid var(--ghost)}
.pnb.pnb table{border-collapse:collapse;border:0;color:inherit;margin:4px 0}
.pnb.pnb tbody tr{background:none;line-height:1.5}
.pnb.pnb :is(td,th){text-align:start;vertical-align:top;padding:1px 12px 1px 0;white-space:normal;border:0}
.pnb.pnb :is(th,.pnb-num){white-space:nowrap;color:var(--dim)}
.pnb svg{display:block;width:100%;margin:4px 0}
"""

STYLE = Html(f"<style>.pnb{{color-scheme:light dark;{_palette()}}}{_DARK_OR_LIGHT}{_RULES}</style>".replace("\n", ""))


def page(*content: str) -> Html:
    """One output that stands alone."""
    return Html(f'<div class="pnb">{STYLE}{join(*content)}</div>')
