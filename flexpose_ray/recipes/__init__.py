"""Shipped recipes; `flexpose pipeline quickstart` finds them by name."""
