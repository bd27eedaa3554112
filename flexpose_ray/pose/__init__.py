"""Poses and their images: skeletons, geometry, alpha, the gate.

Array names end in their shape, one letter or digit for each axis. Letters of the whole package:

    N  poses or images           J  joints              L  limbs
    C  channels                  H, W  height, width    K  limb endpoints (2)
    2  x, y                      Z  latent size         D  features
    3  x, y, z or r, g, b        F  frames              S  joints of a source; shots

An array with another letter states its meaning where it is made.

Keypoints are in crop units: x to the right, y down, [0, 1] over the square canvas, so that pixel ``i`` of an image
of side ``size`` covers [i, i + 1] / size. Skeleton images are float in [-1, 1]: -1 is background.
"""
