"""bench/RESULTS.md: a section that is measured again takes the place of the one before, and what people wrote stays."""

from bench import results

OLD = """# Measured

## backup

_then_

| old | table |

### Remarks

A soak ran beside it.

By restic it took 3.7 s.

## smtp

_then_

| letters |

## tried by hand

Nothing measures this.
"""


def test_remarks_stay_and_all_else_of_the_section_is_replaced():
    new = results.replaced(OLD, "backup", "_now_\n\n| new | table |\n")
    assert "| new | table |\n\n### Remarks\n\nA soak ran beside it.\n\nBy restic it took 3.7 s.\n" in new
    assert "old" not in new
    assert new.count("### Remarks") == 1


def test_other_sections_stay_as_they_are():
    new = results.replaced(OLD, "backup", "_now_")
    assert "## smtp\n\n_then_\n\n| letters |\n" in new
    assert "## tried by hand\n\nNothing measures this.\n" in new


def test_sections_stand_in_one_order_whatever_was_measured_last():
    new = results.replaced(results.replaced(OLD, "imap", "x"), "backup", "x")
    found = [line.removeprefix("## ") for line in new.splitlines() if line.startswith("## ")]
    assert found == ["smtp", "imap", "backup", "tried by hand"]


def test_a_section_written_twice_is_the_same():
    once = results.replaced(OLD, "smtp", "x")
    assert results.replaced(once, "smtp", "x") == once


def test_the_first_section_of_no_file():
    assert results.replaced("", "smtp", "_now_\n\nx") == "# Measured\n\n## smtp\n\n_now_\n\nx\n"


def test_the_file_itself_is_in_order_and_only_remarks_are_set_apart():
    kept = results.RESULTS.read_text()
    names = [part.split("\n", 1)[0] for part in kept.split("\n## ")[1:]]
    assert len(set(names)) == len(names)
    for name in names:
        text = kept.split(f"\n## {name}\n\n")[1].split("\n## ")[0].partition("\n### Remarks\n")[0]
        assert results.replaced(kept, name, text) == kept


def test_write_leaves_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "RESULTS.md")
    results.write("smtp", "| a |")
    results.write("smtp", "| b |")
    assert [path.name for path in tmp_path.iterdir()] == ["RESULTS.md"]
    assert "| b |" in results.RESULTS.read_text()
    assert "| a |" not in results.RESULTS.read_text()
