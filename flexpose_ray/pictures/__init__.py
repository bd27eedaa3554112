"""Pictures: found in folders, tar files, tables, videos and the studio; decoded, masked, cut; kept on disk."""
