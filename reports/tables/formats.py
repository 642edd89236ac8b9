"""Writers of a table of text cells: Markdown, LaTeX, HTML and CSV.

A cell that begins with `**number…**` is bold in all but CSV. Names come from files, so every cell and caption is
escaped: none of it acts as markup, a link or a formula.
"""

import html
import re
from collections.abc import Iterable

import pandas as pd

LONG = 40
"""Maximum number of rows of a floating LaTeX table; more rows make a longtable, which breaks across pages."""

BOLD = re.compile(r"\*\*(-?\d[^*]*)\*\*")
"""The bold number at the beginning of a cell."""

MARKDOWN = re.compile(r"([\\`*<|]|(?<=\])[(\[]|(?<=:)//|(?<=www)\.)", re.IGNORECASE)
"""Signs that Markdown would read as code, emphasis, HTML, the end of a cell, or a link. Intervals keep brackets."""

FORMULA = re.compile(r"^[=+\-@\t\r]")
"""The beginning of a text that a spreadsheet would read as a formula."""

TEX = {
    "\\": r"\textbackslash{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}"},
    **{"|": r"\textbar{}"},
    **{"±": r"$\pm$", "×": r"$\times$", "†": r"$\dagger$", "–": "--", "…": r"\ldots{}", "√": r"$\surd$"},
    **{"Δ": r"$\Delta$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "≤": r"$\leq$", "≥": r"$\geq$", "·": r"$\cdot$"},
}
"""Sign → its LaTeX: signs with a meaning in LaTeX, and signs that its fonts lack."""


def to_markdown(table: pd.DataFrame, caption: str) -> str:
    """The caption and a pipe table as Markdown, with a final line break; cells and caption are escaped."""
    cells = table.rename(columns=_marked).map(_marked)
    return f"{plain(caption)}\n\n{cells.to_markdown(index=False, tablefmt='pipe', disable_numparse=True)}\n"


def to_latex(table: pd.DataFrame, caption: str) -> str:
    """A floating LaTeX table with booktabs rules; a longtable if it has more than `LONG` rows.

    The document must load booktabs and longtable. The first column and text are left-aligned, numbers right-aligned.
    """
    head = _line(table.columns)
    lines = [_line(row) for row in table.itertuples(index=False)]
    columns = "".join("r" if i and _is_numeric(table.iloc[:, i]) else "l" for i in range(table.shape[1]))
    title = f"\\caption{{{_tex(caption)}}}"
    if len(lines) > LONG:
        begin = [rf"\begin{{longtable}}{{{columns}}}", rf"{title} \\", r"\toprule", head, r"\midrule", r"\endhead"]
        return "\n".join([*begin, r"\bottomrule", r"\endfoot", *lines, r"\end{longtable}", ""])
    begin = [r"\begin{table}", r"\centering", title, rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule"]
    return "\n".join([*begin, *lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def to_html(table: pd.DataFrame, caption: str) -> str:
    """An HTML table element with a caption and head cells with a scope; all text is escaped."""
    head = "".join(f'<th scope="col">{_tagged(name)}</th>' for name in table.columns)
    rows = ["".join(f"<td>{_tagged(cell)}</td>" for cell in row) for row in table.itertuples(index=False)]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f"<table>\n<caption>{_tagged(caption)}</caption>\n<thead>\n<tr>{head}</tr>\n</thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n"
    )


def to_csv(table: pd.DataFrame) -> str:
    """Any table as CSV text. Floats keep all digits; a text that a spreadsheet would run as a formula begins with '."""
    texts = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    return table.assign(**{name: table[name].map(_no_formula) for name in texts}).to_csv(
        index=False, lineterminator="\n"
    )


def plain(text: str) -> str:
    """The text with every sign escaped that Markdown would interpret."""
    return MARKDOWN.sub(lambda sign: "".join(f"\\{one}" for one in sign[0]), text)


def _marked(text: object) -> str:
    bold = BOLD.match(str(text))
    return f"**{bold[1]}**{plain(str(text)[bold.end() :])}" if bold else plain(str(text))


def _no_formula(text: object) -> object:
    return f"'{text}" if isinstance(text, str) and FORMULA.match(text) else text


def _line(cells: Iterable[object]) -> str:
    line = " & ".join(_tex(cell) for cell in cells)
    return ("{}" if line.startswith(("[", "*")) else "") + line + r" \\"  # after a line break these are options


def _tex(text: object) -> str:
    bold = BOLD.match(str(text))
    rest = _escaped(str(text)[bold.end() :] if bold else str(text))
    return f"\\textbf{{{_escaped(bold[1])}}}{rest}" if bold else rest


def _escaped(text: str) -> str:
    return "".join(TEX.get(sign, sign) for sign in text)


def _tagged(text: object) -> str:
    bold = BOLD.match(str(text))
    rest = html.escape(str(text)[bold.end() :] if bold else str(text))
    return f"<strong>{html.escape(bold[1])}</strong>{rest}" if bold else rest


def _is_numeric(column: pd.Series) -> bool:
    return bool(column.str.match(r"(\*\*)?-?\d|–$").all())
