"""wgan-jax: Wasserstein GANs whose numbers can be trusted and whose runs explain themselves."""
