"""Contact details out of ads before anyone reads or stores them, without moving a single character.

``mask_contacts`` gives a text of the SAME LENGTH in code points, so offsets of evidence stay right by construction. What
the disguise looked like stays to be seen, because it is a cue (``obfuscated_contact``): a digit becomes the zero of its own
kind (full-width, circled, emoji), a written digit becomes its language's word for zero cut or stretched to length, letters
of an e-mail address, handle or link become x. Prices, ages, dates, times, years and measures stay.

What may be a contact detail is masked when in doubt; what this cannot see is a name, a street, or a number that is told in
a riddle. The lengths of written digits stay, so they narrow such a number down without giving it away.
"""

from labeling.masking.addresses import masked_addresses
from labeling.masking.folding import fold
from labeling.masking.number_words import masked_number_words
from labeling.masking.phones import masked_phones

__all__ = ["mask_contacts"]


def mask_contacts(text: str) -> str:
    """The text with contact details masked: same length, and masked again it stays as it is."""
    while (masked := _masked_once(text)) != text:
        # What was masked may make a digit beside it part of a number. Each round turns more into zero or x, so it ends.
        text = masked
    return text


def _masked_once(text: str) -> str:
    folded = fold(text)
    for mask in (masked_addresses, masked_phones, masked_number_words):
        masked = mask(text, folded)
        if masked is not text:
            text, folded = masked, fold(masked)
    return text
