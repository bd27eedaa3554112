"""What every verb of the command line does with its options.

Each function takes the parsed options and returns the exit status, the object for ``--json`` and the text for a person.
Heavy modules are imported by the verb that needs them, so that help and bad options answer at once.
"""

from typing import Any

Outcome = tuple[int, Any, str]  # exit status, JSON, text
