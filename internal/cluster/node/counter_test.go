package node

import "porcupine/internal/cluster"

const typeCounter cluster.ObjectType = "counter"
