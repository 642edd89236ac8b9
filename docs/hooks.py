"""The site has no source files: a link from a document to one becomes the file's path."""

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+)([^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page's text with every link that leaves docs/ replaced by its words and the path in the repository."""
    depth = page.file.src_uri.count("/")

    def replaced(link: re.Match[str]) -> str:
        text, ups, path = link.groups()
        if ups.count("../") <= depth:
            return link[0]
        return f"`{path}`" if path.endswith(text.strip("`")) else f"{text} (`{path}`)"

    return OUTSIDE.sub(replaced, markdown)
