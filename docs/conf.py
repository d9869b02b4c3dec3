"""How Sphinx builds the site; `make docs` calls it."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

project = "neurosparse"
author = "The neurosparse developers"
copyright = "2026, the neurosparse developers"  # noqa: A001 - Sphinx's own name
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
version = release = PROJECT["version"]
html_title = f"neurosparse {version}"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
    "formulas",
    "reference",
    "repository",
    "gallery_scripts",
    "terms",
    "units",
    "sphinx_gallery.gen_gallery",  # after what prepares its scripts
]
exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.py", "gallery/*.md5"]
# A word in the type of a parameter, such as n_units, may also be the name of attributes.
# The contents of the home page take brains, intervals, transformers and bits_per_ATP by a pattern.
suppress_warnings = ["ref.python"]

# Notebooks run while the site is built; what did not change comes from the cache.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_excludepatterns = ["tutorial.ipynb"]  # stored with its results
nb_merge_streams = True
nb_render_markdown_format = "myst"  # knows tables
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Pages of other projects are looked up with `make docs-links` alone: a build needs no network.
intersphinx_mapping: dict[str, tuple[str, None]] = {}

# Scripts that take longer than about ten seconds are shown with what they should print.
QUICK = ("01_fi_curve", "02_cortical_population", "06_energy")
sphinx_gallery_conf = {
    "examples_dirs": "_build/simulations",
    "gallery_dirs": "gallery",
    "filename_pattern": rf"/({'|'.join(QUICK)})\.py$",
    "ignore_pattern": r"__init__",
    "backreferences_dir": None,
    "default_thumb_file": str(HERE / "_static" / "script.png"),
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}

autosummary_generate = True
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # they stand in the signature
autodoc_mock_imports: list[str] = []
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
default_role = "literal"  # of a docstring's single backticks
python_use_unqualified_type_names = True
add_module_names = False

templates_path = ["_templates"]
html_math_renderer = "mathml"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

linkcheck_ignore = [r"https?://localhost.*"]
linkcheck_timeout = 20
copybutton_prompt_text = re.escape("$ ")
