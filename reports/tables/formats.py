"""A table of text cells as Markdown, LaTeX, HTML or CSV; `**text**` is bold in the first three."""

import html
import re
from collections.abc import Iterable

import pandas as pd

LONG = 40
"""A LaTeX table of more rows is a longtable, which may break across pages."""

BOLD = re.compile(r"\*\*(.+?)\*\*")

TEX = {
    "\\": r"\textbackslash{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}"},
    **{"|": r"\textbar{}"},
    **{"±": r"$\pm$", "×": r"$\times$", "†": r"$\dagger$", "–": "--", "…": r"\ldots{}", "√": r"$\surd$"},
    **{"↓": r"$\downarrow$", "→": r"$\rightarrow$", "≤": r"$\leq$", "≥": r"$\geq$", "·": r"$\cdot$"},
}
"""What LaTeX would take for something else, and signs that its fonts lack."""


def to_markdown(table: pd.DataFrame, caption: str) -> str:
    """The caption and a pipe table, ending in a line break; bars in cells are escaped."""
    cells = table.rename(columns=_piped).map(_piped)
    return f"{caption}\n\n{cells.to_markdown(index=False, tablefmt='pipe', disable_numparse=True)}\n"


def to_latex(table: pd.DataFrame, caption: str) -> str:
    """A floating table with booktabs rules, or a longtable of many rows, for documents that use booktabs and longtable.

    The first column and all text stand left, numbers right. The table is as wide as its cells.
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
    """A table element with a caption and head cells that have a scope; everything else is escaped."""
    head = "".join(f'<th scope="col">{_tagged(name)}</th>' for name in table.columns)
    rows = ["".join(f"<td>{_tagged(cell)}</td>" for cell in row) for row in table.itertuples(index=False)]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f"<table>\n<caption>{_tagged(caption)}</caption>\n<thead>\n<tr>{head}</tr>\n</thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n"
    )


def to_csv(table: pd.DataFrame) -> str:
    """Any table as CSV text; floats keep all their digits."""
    return table.to_csv(index=False, lineterminator="\n")


def _piped(text: object) -> str:
    return str(text).replace("|", "\\|")


def _line(cells: Iterable[object]) -> str:
    line = " & ".join(_tex(cell) for cell in cells)
    return ("{}" if line.startswith(("[", "*")) else "") + line + r" \\"  # after a line break these are options


def _tex(text: object) -> str:
    parts = BOLD.split(str(text))  # every second part is bold
    escaped = ["".join(TEX.get(sign, sign) for sign in part) for part in parts]
    return "".join(f"\\textbf{{{part}}}" if i % 2 else part for i, part in enumerate(escaped))


def _tagged(text: object) -> str:
    return BOLD.sub(r"<strong>\1</strong>", html.escape(str(text)))


def _is_numeric(column: pd.Series) -> bool:
    return bool(column.str.match(r"(\*\*)?-?\d|–$").all())
