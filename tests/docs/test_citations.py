"""What the sources cite exists: sections of the 15B spec, decisions."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
CITATION = re.compile(r"15B\s+spec\s+sections?\s+((?:\d+(?:\.\d+)?)(?:(?:\s*,\s*|\s+and\s+)\d+(?:\.\d+)?)*)")


def test_cited_sections_exist() -> None:
    headings = set(
        re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", (ROOT / "docs" / "15b.md").read_text(encoding="utf-8"), re.M)
    )
    faults, cited = [], set()
    for path in SOURCES:
        for hit in CITATION.finditer(path.read_text(encoding="utf-8")):
            numbers = set(re.findall(r"\d+(?:\.\d+)?", hit[1]))
            cited |= numbers
            faults += [f"{path.name} cites section {number}" for number in sorted(numbers - headings)]
    assert cited, "the pattern of citations matches nothing any more"
    assert not faults, "\n".join(faults)


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs" / "adr" / "index.md").read_text(encoding="utf-8")
    pages = sorted(path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert pages
    assert not [page for page in pages if f"]({page})" not in index]
    numbers = [int(page[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1)), "decisions are numbered without gaps"
