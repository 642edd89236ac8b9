"""A picture of a report's page.

python -m benchmarks.screenshot report/index.html docs/images/report.png
"""

import argparse
from pathlib import Path

from benchmarks.browser import browser, find_chromium


def main() -> None:
    """Write the picture; it needs a Chromium."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    parser.add_argument("--whole", action="store_true", help="The whole page, not its first screen.")
    arguments = parser.parse_args()
    executable = find_chromium()
    if executable is None:
        parser.exit(2, "there is no Chromium on the PATH; install one to take pictures.\n")
    with browser(executable) as page:
        page.open(arguments.page, width=arguments.width, height=arguments.height, scheme=arguments.scheme)
        arguments.picture.write_bytes(page.screenshot(whole=arguments.whole))


if __name__ == "__main__":
    main()
