"""Tells how many lines of src/ the Rust tests ran, from an LCOV file.

    coverage.py LCOV SRC [FILE…]

Tests do not count, whether they stand in files of their own or below
`#[cfg(test)]`: all of their lines run. With files named, the lines of them that
did not run are told too.
"""

import sys
from collections import defaultdict
from pathlib import Path

# The lines of a file, and how often each ran.
Lines = dict[int, int]

# What only tests are made of.
TESTS = ("tests", "tests.rs", "fake")
ROWS_MAX = 25


def read(lcov: Path, src: Path) -> dict[Path, Lines]:
    """The lines of each file below `src` that is no test."""
    files: dict[Path, Lines] = defaultdict(dict)
    lines: Lines | None = None
    for record in lcov.read_text().splitlines():
        kind, _, rest = record.partition(":")
        if kind == "SF":
            path = Path(rest)
            is_ours = path.is_relative_to(src) and not set(path.relative_to(src).parts) & set(TESTS)
            lines = files[path.relative_to(src)] if is_ours else None
        elif kind == "DA" and lines is not None:
            number, count = rest.split(",")[:2]
            lines[int(number)] = max(lines.get(int(number), 0), int(count))
    return files


def tests_begin(source: str) -> int:
    """The line where a file's tests begin, by custom its last part."""
    lines = source.splitlines()
    for number, (line, following) in enumerate(zip(lines, lines[1:]), start=1):
        if line == "#[cfg(test)]" and following.startswith(("mod tests", "pub(super) mod tests")):
            return number
    return len(lines) + 1


def ranges(numbers: list[int]) -> str:
    """Line numbers in few words: 3-5, 9."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def main(lcov: Path, src: Path, named: list[str]) -> None:
    rows: list[tuple[int, int, Path, list[int]]] = []
    for path, lines in read(lcov, src).items():
        end = tests_begin((src / path).read_text())
        counted = {number: count for number, count in lines.items() if number < end}
        missed = sorted(number for number, count in counted.items() if count == 0)
        rows.append((len(missed), len(counted), path, missed))
    rows.sort(key=lambda row: (-row[0], row[2]))
    print(f"\n{'missed':>7} {'lines':>7} {'ran':>7}  file")
    for missed, lines, path, _ in rows[:ROWS_MAX]:
        ran = 100 * (lines - missed) / lines if lines else 100
        print(f"{missed:7} {lines:7} {ran:6.1f}%  src/{path}")
    if len(rows) > ROWS_MAX:
        rest = rows[ROWS_MAX:]
        missed, lines = sum(row[0] for row in rest), sum(row[1] for row in rest)
        ran = 100 * (lines - missed) / lines if lines else 100
        print(f"{missed:7} {lines:7} {ran:6.1f}%  {len(rest)} other files")
    missed, lines = sum(row[0] for row in rows), sum(row[1] for row in rows)
    print(f"{missed:7} {lines:7} {100 * (lines - missed) / max(lines, 1):6.1f}%  all of src/")
    for name in named:
        wanted = Path(name.removeprefix("src/"))
        for _, _, path, numbers in rows:
            if path == wanted or wanted in path.parents:
                print(f"src/{path}: {ranges(numbers) or 'all ran'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
