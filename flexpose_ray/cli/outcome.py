"""What a verb's function gives back."""

from typing import Any

Outcome = tuple[int, Any, str]  # exit status, the object for --json, the text for a person
