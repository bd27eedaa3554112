"""Generator, discriminator, beta, tau and the sampler made of them. Arrays are named as in `flexpose_ray.pose`."""
