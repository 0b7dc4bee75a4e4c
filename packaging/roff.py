"""The language of manual pages, as much of it as ours need; see man(7)."""

import re
import textwrap
from collections.abc import Iterator, Sequence


def text(words: str) -> str:
    """Plain text: nothing in it is taken for a request or an escape."""
    escaped = words.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    escaped = escaped.replace("^", r"\(ha").replace("~", r"\(ti")
    escaped = re.sub(r"[^\x00-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", escaped)
    return re.sub(r"^\.", r"\&.", escaped, flags=re.MULTILINE)


def inline(words: str) -> str:
    """Markdown within a line: `code` and **bold** in bold, [links](of) as their text."""
    words = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", words)
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s][^*]*\*)", words)
    return "".join(
        text(part)
        if i % 2 == 0
        else (rf"\fI{text(part[1:-1])}\fR" if part[0] == "*" != part[1] else rf"\fB{text(part.strip('`*'))}\fR")
        for i, part in enumerate(parts)
    )


def title(name: str, number: int, source: str) -> str:
    """The beginning of a page. No date: the same sources make the same page."""
    return f'.TH "{text(name.upper())}" "{number}" "" "{text(source)}" "labsched"\n.nh\n.ad l\n'


def section(name: str) -> str:
    """A heading."""
    return f'.SH "{text(name)}"\n'


def terms(pairs: Sequence[tuple[str, str]]) -> str:
    """Terms and what they mean."""
    return "".join(f".TP\n\\fB{text(term)}\\fR\n{text(meaning) or chr(92) + '&'}\n" for term, meaning in pairs)


def literal(block: str) -> str:
    """Lines as they stand, indented."""
    return f".RS 4\n.nf\n{text(block.rstrip())}\n.fi\n.RE\n"


def helptext(said: str) -> str:
    """A help of click's: paragraphs, those behind a backspace as they stand."""
    out = []
    for paragraph in re.split(r"\n\s*\n", said.strip()):
        if "\b" in paragraph:
            lines = textwrap.dedent(paragraph.partition("\b\n")[2]).split("\n")
            out += [f".PP\n{text(lines[0])}\n", literal(textwrap.dedent("\n".join(lines[1:])))]
        else:
            out.append(f".PP\n{text(' '.join(paragraph.split()))}\n")
    return "".join(out)


def markdown(page: str) -> str:
    """A page of our documentation: headings, paragraphs, lists, tables, fenced blocks. Its title is left out."""
    out = [section("DESCRIPTION")]
    for kind, lines in blocks(re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL)):
        first = lines[0]
        if kind == "fence":
            out.append(literal("\n".join(lines[1:-1])))
        elif kind == "head" and not first.startswith("# "):
            request = "SH" if first.startswith("## ") else "SS"
            out.append(f'.{request} "{text(first.lstrip("# ").replace("`", ""))}"\n')
        elif kind == "table":
            out += [_row(line) for line in lines[2:]]
        elif kind == "item":
            mark, _, words = " ".join(line.strip() for line in lines).partition(" ")
            out.append(f".IP {mark if mark[0].isdigit() else chr(92) + '(bu'} 4\n{inline(words)}\n")
        elif kind == "text":
            out.append(f".PP\n{inline(' '.join(lines))}\n")
    return "".join(out)


def blocks(page: str) -> Iterator[tuple[str, list[str]]]:
    """The parts of a page, each with its kind: fence, head, table, item or text."""
    found: list[tuple[str, list[str]]] = []
    fenced = False
    for line in [*page.split("\n"), ""]:
        kind = next(kind for kind, start in _KINDS if re.match(start, line))
        goes_on = bool(found) and found[-1][1][-1] != ""
        if fenced:
            found[-1][1].append(line)
            if kind == "fence":
                fenced = False
                found.append(("", [""]))
        elif kind == "fence":
            fenced = True
            found.append((kind, [line]))
        elif kind in ("", "head", "item") or not goes_on or (kind != found[-1][0] and found[-1][0] != "item"):
            found.append((kind, [line]))
        else:
            found[-1][1].append(line)
    return ((kind, lines) for kind, lines in found if kind)


_KINDS = (
    ("fence", r"\s*```"),
    ("head", r"#+ "),
    ("table", r"\|"),
    ("item", r"\s*([-*]|\d+\.) "),
    ("", r"\s*$"),
    ("text", r""),
)


def _row(line: str) -> str:
    """A table's row: what stands first is the term, and the rest what is to be said of it."""
    cells = [inline(cell.strip()) for cell in re.split(r"\|(?=(?:[^`]*`[^`]*`)*[^`]*$)", line)[1:-1]]
    return f".TP\n{cells[0]}\n{'. '.join(cell for cell in cells[1:] if cell) or chr(92) + '&'}\n"
