"""The words of attached documents, for policies that look for stamps and phrases; run in the examiner's processes.

Pure functions over octets, bounded by a purse: nothing is rendered, no reference is followed, no entity expanded.
What cannot be read gives no words: whether it may pass is the business of `policies.attachments`.
"""

from bdmta.charset.letter import prepare
from bdmta.examine.wording import pdf
from bdmta.examine.wording.document import extract_text
from bdmta.examine.wording.letter import texts, texts_task

__all__ = ["extract_text", "texts", "texts_task", "warm"]


def warm() -> None:
    """Load tables and libraries while files can still be read: a confined worker opens none."""
    prepare()
    pdf.load()
