"""What the index keeps of a letter: see `bdmta.render`, which worker processes import without the rest of IMAP."""

from __future__ import annotations

from bdmta.render import render_letter, render_letter_without_marks, rules

__all__ = ["render_letter", "render_letter_without_marks", "rules"]
