#!/usr/bin/env bash
# Bring up laptop-multinode.yaml: a head and as many nodes as it says, until Ctrl-C. Options go to `ray start`.
#
#   clusters/laptop-multinode.sh [--dashboard-port=8266] [...]
#   CLUSTER=other.yaml clusters/laptop-multinode.sh          # another port, other nodes
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[[ -d "$here/../.venv/bin" ]] && PATH="$here/../.venv/bin:$PATH"
cluster="${CLUSTER:-$here/laptop-multinode.yaml}"
head_node_id=$(sed -n 's/^ *head_node_id: *\([0-9a-f]*\).*/\1/p' "$cluster")
port=$(sed -n 's/^ *gcs_address: *127\.0\.0\.1:\([0-9]*\).*/\1/p' "$cluster")

export RAY_AUTH_MODE=token
umask 077  # what Ray writes, the token first of all, is nobody else's
ray get-auth-token --generate >/dev/null
exec env RAY_FAKE_CLUSTER=1 RAY_enable_autoscaler_v2=1 \
    RAY_CLOUD_INSTANCE_ID="$head_node_id" RAY_OVERRIDE_NODE_ID_FOR_TESTING="$head_node_id" \
    OMP_NUM_THREADS=1 \
    ray start --head --block --num-cpus=0 --object-store-memory=100000000 \
    --node-ip-address=127.0.0.1 --port="$port" --dashboard-host=127.0.0.1 \
    --autoscaling-config="$cluster" "$@"
