"""The same work by other libraries, each a script that runs in an environment of its own."""
