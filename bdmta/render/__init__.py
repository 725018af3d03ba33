"""Letters as IMAP shows, searches and sorts them. Light to import: worker processes of the index need nothing else."""

from bdmta.render.letter import render_letter, render_letter_without_marks, rules

__all__ = ["render_letter", "render_letter_without_marks", "rules"]
