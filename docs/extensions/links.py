"""What pages for a code host need on a site: links out of docs/, links named after files, pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

PROJECT: Final = {
    "CHANGELOG.md": "project/changelog",
    "CONTRIBUTING.md": "project/contributing",
    "README.md": "index",
    "docs/README.md": "index",
    "src/emofuse/features/voice/whisper/README.md": "project/speech-encoder",
    "src/emofuse/recognition/shipped/out-of-the-box/MODEL-CARD.md": "project/model-card",
}
"""Files of the project that are no pages of docs/ → the pages that show them."""

_PICTURE: Final = re.compile(
    r'<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="(?P<dark>[^"]+)">\s*'
    r'<img (?:alt="(?P<alt>[^"]+)" )?src="(?P<light>[^"]+)"(?: alt="(?P<alt_last>[^"]+)")?>\s*</picture>'
)


_CAPTION: Final = 'class="caption" role="heading"'
_PARAMETERS: Final = re.compile(r'<span class="sig-paren">\(</span>\s*<dl>.*?</dl>', re.DOTALL)


class PageLinks(SphinxPostTransform):
    """Links lead to pages of the site, and those named after a file get the title of its page.

    A link to a heading gets the heading's own words. This runs before MyST resolves links.
    """

    default_priority = 8

    def run(self, **_: Any) -> None:
        """Change the links of one page."""
        docs = Path(self.env.srcdir)
        for node in list(self.document.findall(pending_xref)):
            if node.get("reftype") != "myst" or node.get("refdomain") != "doc":
                continue
            target = (docs / f"{node['reftarget']}.md").resolve()
            if target.is_relative_to(docs.parent):
                inside = target.relative_to(docs.parent).as_posix()
                node["reftarget"] = PROJECT.get(inside, node["reftarget"])
            if node.astext().endswith(".md"):
                self._name(node)

    def _name(self, node: pending_xref) -> None:
        if node["reftargetid"] or node["reftarget"] not in self.env.titles:
            node["refexplicit"] = False
            return
        title = self.env.titles[node["reftarget"]].astext().partition(":")[0]
        node[0].clear()
        node[0].append(nodes.Text(title))


class Pictures(SphinxTransform):
    """``<picture>`` for light pages and dark ones becomes two images, of which the theme shows one."""

    default_priority = 200

    def apply(self, **_: Any) -> None:
        """Change the pictures of one page."""
        for raw in list(self.document.findall(nodes.raw)):
            if match := _PICTURE.fullmatch(raw.astext().strip()):
                alt = match["alt"] or match["alt_last"]
                raw.replace_self(
                    [
                        nodes.image(uri=match[scheme], alt=alt, classes=[f"only-{scheme}"])
                        for scheme in ("light", "dark")
                    ]
                )


def say_roles(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Say what screen readers need to know.

    Captions of tables of contents are headings, of a level; the parameters of a signature, a line each, are
    written as a list of definitions without terms, which is none.
    """
    for part in ("body", "furo_navigation_tree"):
        if part in context:
            context[part] = context[part].replace(_CAPTION, f'{_CAPTION} aria-level="2"')
    if "body" in context:
        context["body"] = _PARAMETERS.sub(
            lambda found: found[0].replace("<dl>", '<dl role="none">').replace("<dd>", '<dd role="none">'),
            context["body"],
        )


def setup(app: Sphinx) -> dict[str, Any]:
    """Take part in reading and in resolving links."""
    app.add_lexer("csv", TextLexer)  # code hosts color it, Pygments does not know it
    app.add_transform(Pictures)
    app.add_post_transform(PageLinks)
    app.connect("html-page-context", say_roles, priority=900)  # after the theme's
    return {"parallel_read_safe": True, "parallel_write_safe": True}
