"""Generated data sets on storage: how they are committed, read, checked and described.

A data set is a folder or a bucket prefix, written by any number of processes in any order:

    run.json                          what every pose depends on; pinned by the first command, compared by later ones
    model/                            the generator, so that the data set can be checked, repaired and grown by itself
    shards/<index>-<sha16>.parquet    named by their content: writing one twice changes nothing
    commits/<index>-<rows>.json       put if absent: from here on the shard counts, with these bytes and no others
    manifests/v<number>.json          put if absent: the shards that readers see; the newest manifest is the data set
    log/<number>.json                 what every call did and how long it took

A shard is identified by its index and its number of rows, since the last shard of a data set may be shorter: when the
data set grows, that shard is rendered again in full, beside the short one that older manifests still name.
Only the log and the model's card hold a time, a host or a path, so two runs of one command leave the same bytes.
"""
