"""How far poses are from target poses: FD, MMD^2, density, coverage, copies."""
