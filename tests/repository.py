"""Where the repository's own files are: sources, documents and their text."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("attacks", "microbench", "perturbations", "reports")


def sources() -> list[Path]:
    """Every module of the four packages."""
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def documents() -> list[Path]:
    """Every page of Markdown."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def text(path: Path) -> str:
    """Its content."""
    return path.read_text("utf-8")
