"""Settings of the documentation site: ``make docs``, or ``sphinx-build docs build/docs``.

Nothing here needs the network, and no page that it makes asks another host for anything.
"""

from __future__ import annotations

import sys
from pathlib import Path

from emofuse.core.version import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "emofuse"
author = "The emofuse authors"
project_copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "extensions.commands",
    "extensions.recipes",
    "extensions.http_api",
    "extensions.names",
    "extensions.links",
]
exclude_patterns = ["README.md", "**/.ipynb_checkpoints"]
nitpicky = True
smartquotes = False  # they make a dash of what begins an option

# Pages are Markdown that code hosts show as well. Anchors of headings are made as there.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
# Notebooks are executed by tests, and shown with the output that they were stored with.
nb_execution_mode = "off"
nb_ipywidgets_js = {}

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = f"emofuse {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

# make docs-links, by hand: it needs the network
linkcheck_timeout = 30
linkcheck_retries = 2
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1|10\.0\.0\.\d+)([:/].*)?"]
linkcheck_anchors_ignore_for_url = [r"https://github\.com/.*"]  # made by scripts of the page
