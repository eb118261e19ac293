"""Files of the repository that pages link to, such as `../parity_tests/tolerances.toml`.

The links work in a checkout. The site gets a copy of each file, so they work there too.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_LINK = re.compile(r"(\]\()(\.\./[^)#\s]+)")
_FOLDER = "files"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files that pages link to."""
    documents = Path(config.docs_dir)
    for file in list(files.documentation_pages()):
        for _, link in _LINK.findall(file.content_string):
            name = _outside(link, file.src_uri)
            if name and not files.get_file_from_path(_copy(name)):
                source = (documents.parent / name).read_text(encoding="utf-8")
                files.append(File.generated(config, _copy(name), content=source))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Leads the links to the copies."""
    here = posixpath.dirname(page.file.src_uri)

    def copied(link: re.Match[str]) -> str:
        name = _outside(link[2], page.file.src_uri)
        return f"{link[1]}{posixpath.relpath(_copy(name), here)}" if name else link[0]

    return _LINK.sub(copied, markdown)


def _outside(link: str, page: str) -> str | None:
    """A linked file's path in the repository; None if it is one of the site."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    return None if path.startswith("docs/") else path


def _copy(name: str) -> str:
    """The copy of a file. Browsers show text, and would save a TOML file."""
    return f"{_FOLDER}/{name}.txt"
