"""`flexpose benchmark`: methods x pairs x draws of the shots, a Ray task a cell."""
