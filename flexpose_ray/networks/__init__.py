"""Generator, discriminator, beta and what stands between them. Arrays are named as in `flexpose_ray.pose`."""
