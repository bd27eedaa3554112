"""A studio of the package's own: people of capsules in motion before fixed cameras, whose true poses are known."""
