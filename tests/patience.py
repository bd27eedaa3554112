"""How long tests wait for what will come: only failures take so long, and a busy machine is ten times slower."""

PATIENCE_S = 600.0
