"""GANs made to fail on purpose on the digits, and what the judge says of them."""
